"""The separate process that parses and decodes untrusted files. It has no secrets and almost no rights.

It starts with an environment in which nothing is to be found, drops root, and forks once for each file, so that nothing is left over from the file
before. Stdin is a socket: a question brings the file and a socket for the answer; when the fork has ended, the process
reports how.
"""

import json
import os
import resource
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Protocol

from services.media.errors import MediaRejectedError
from services.media.limits import MediaLimits
from services.media.probe import probe
from services.media.probed import Probed, parse_question, render_answer
from services.media.warm_up import warm_up

USER_ID = 65_533
"""The user that root becomes: a number that no user or service normally has."""
QUESTION_BYTES_MAX = 4_096
OPEN_FILES_MAX = 32
READY = b"ready\n"


class Look(Protocol):
    """Probes files."""

    def __call__(self, file: int, *, want_last_frame: bool, limits: MediaLimits) -> Probed:
        """Returns the measured file. Raises MediaRejectedError."""


@dataclass(frozen=True, kw_only=True)
class _Job:
    want_last_frame: bool
    limits: MediaLimits
    file: int
    answer: socket.socket


def serve(look: Look = probe) -> None:
    """Answers questions, one at a time, until the other end of stdin is closed."""
    control = socket.socket(fileno=0)
    woken = _wake_on_child_ends()
    _confine()
    control.sendall(READY)
    while (job := _next_job(control)) is not None:
        try:
            child = os.fork()
        except OSError as error:
            ending: dict[str, object] = {"failed": f"fork: {error.strerror}"}
        else:
            if child == 0:
                control.close()
                _answer(job, look)
            ending = _await_end(child, job.limits, control=control, woken=woken)
        job.answer.close()
        os.close(job.file)
        control.sendall(json.dumps(ending).encode())


def _next_job(control: socket.socket) -> _Job | None:
    question, fds, *_ = socket.recv_fds(control, QUESTION_BYTES_MAX, 2)
    if not question:
        return None
    want_last_frame, limits = parse_question(question)
    file, answer = fds
    return _Job(
        want_last_frame=want_last_frame, limits=limits, file=file, answer=socket.socket(fileno=answer)
    )


def _answer(job: _Job, look: Look) -> NoReturn:
    with suppress(BaseException):
        _bound(job.limits)
        answer: Probed | MediaRejectedError
        try:
            answer = look(job.file, want_last_frame=job.want_last_frame, limits=job.limits)
        except MediaRejectedError as error:
            answer = error
        except MemoryError:
            answer = MediaRejectedError("decoding takes too much memory")
        job.answer.sendall(render_answer(answer))
        os._exit(0)
    os._exit(1)


def _await_end(
    child: int, limits: MediaLimits, *, control: socket.socket, woken: socket.socket
) -> dict[str, object]:
    deadline = time.monotonic() + limits.probe_timeout_seconds
    is_killed = False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return {"exit": os.waitstatus_to_exitcode(status), "is_killed": is_killed}
        left = deadline - time.monotonic()
        ready, _, _ = select.select([control, woken], [], [], 1.0 if is_killed else max(0.0, left))
        with suppress(BlockingIOError):
            woken.recv(QUESTION_BYTES_MAX)
        # The client sends nothing while a file is probed: it has gone away, or time is up.
        if control in ready or left <= 0:
            os.kill(child, signal.SIGKILL)
            is_killed = True


def _wake_on_child_ends() -> socket.socket:
    woken, waker = socket.socketpair()
    woken.setblocking(False)
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.detach(), warn_on_full_buffer=False)
    return woken


def _confine() -> None:
    for kind, most in (
        (resource.RLIMIT_NOFILE, OPEN_FILES_MAX),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _limit(kind, most)
    if os.geteuid() == 0:
        # A container may allow no other user; then only the limits protect us.
        with suppress(OSError):
            os.setgroups([])
            os.setresgid(USER_ID, USER_ID, USER_ID)
            os.setresuid(USER_ID, USER_ID, USER_ID)


def _bound(limits: MediaLimits) -> None:
    for kind, most in (
        (resource.RLIMIT_AS, limits.probe_memory_max),
        (resource.RLIMIT_CPU, limits.probe_cpu_seconds_max),
        (resource.RLIMIT_NPROC, 0),
    ):
        _limit(kind, most)


def _limit(kind: int, most: int) -> None:
    # Our parent may have set a stricter limit, which cannot be raised.
    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (least, least))


if __name__ == "__main__":
    warm_up()
    serve()
