"""The fork of a probing process that looks at files: at one, or at several of the same owner, one after another.

It can say nothing about a file but through that file's answer socket, which its parent shuts as soon as it says that it is
done. So whatever it has kept of a file before is of no use to it, and it keeps no descriptor of one.
"""

import math
import os
import resource
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Protocol

from services.media.errors import MediaRejectedError
from services.media.limits import MIB, MediaLimits
from services.media.probed import Probed, Question, parse_question, render_answer

QUESTION_BYTES_MAX: Final = 4_096
OPEN_FILES_MAX: Final = 32
FILES_MAX: Final = 16
"""After as many a fork is replaced: it costs a tenth of what they do, and ends what a file may have left in its memory."""
KEPT_BYTES_MAX: Final = 64 * MIB
"""A fork that has grown by more is replaced. Keeping what decoding needs is what makes it cheap; frames of 1080p take half of this."""
DONE: Final = b"."


class Look(Protocol):
    """Probes files."""

    def __call__(self, file: int, *, want_last_frame: bool, limits: MediaLimits) -> Probed:
        """Returns the measured file. Raises MediaRejectedError."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A question, as it came, and the descriptors of the file and of the socket for the answer."""

    question: Question
    raw: bytes
    file: int
    answer: int

    def close(self) -> None:
        """Closes the descriptors. From then on nobody can add to the answer, whoever still holds the other end."""
        os.close(self.file)
        with socket.socket(fileno=self.answer) as answer, suppress(OSError):
            answer.shutdown(socket.SHUT_RDWR)


class Fork:
    """A fork that waits for files, and how many more it may look at."""

    def __init__(self, pid: int, control: socket.socket, *, owner: str | None) -> None:
        self.control = control
        """Readable when the fork has done with its file, or has ended."""
        self.owner = owner
        self._pid = pid
        self._files_left = 1 if owner is None else FILES_MAX
        self._bytes_max = _own_bytes(pid) + KEPT_BYTES_MAX

    def may_go_on(self) -> bool:
        """Returns whether it may look at one more file of its owner."""
        if self.owner is None or self._files_left == 0:
            return False
        try:
            return _own_bytes(self._pid) <= self._bytes_max
        except OSError:
            return False

    def take(self, job: Job) -> None:
        """Passes the file on. Raises OSError if the fork has ended meanwhile."""
        self._files_left -= 1
        socket.send_fds(self.control, [job.raw], [job.file, job.answer])

    def is_done(self) -> bool:
        """Returns, once `control` is readable, whether it is done with its file. If not, it has ended."""
        with suppress(OSError):
            return self.control.recv(1) == DONE
        return False

    def end(self) -> int:
        """Ends it, if it has not ended by itself, and returns its exit code: negative for a signal."""
        self.control.close()
        os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status)


def start_fork(look: Look, *, owner: str | None) -> Fork:
    """Returns a fork that waits for its first file. Raises OSError if there can be none."""
    ours, theirs = socket.socketpair()
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        _look_on(theirs, look)
    theirs.close()
    return Fork(pid, ours, owner=owner)


def _look_on(control: socket.socket, look: Look) -> NoReturn:
    with suppress(BaseException):
        os.dup2(control.fileno(), 0)
        parent = socket.socket(fileno=0)
        _close_all_but_parent()
        raw, fds, *_ = socket.recv_fds(parent, QUESTION_BYTES_MAX, 2)
        _bound(parse_question(raw).limits)
        while True:
            question = parse_question(raw)
            _allow_time(question)
            _answer(question, *fds, look=look)
            _close_all_but_parent()
            parent.sendall(DONE)
            raw, fds, *_ = socket.recv_fds(parent, QUESTION_BYTES_MAX, 2)
    os._exit(1)


def _answer(question: Question, file: int, answering: int, *, look: Look) -> None:
    answer: Probed | MediaRejectedError
    try:
        answer = look(file, want_last_frame=question.want_last_frame, limits=question.limits)
    except MediaRejectedError as error:
        answer = error
    except MemoryError:
        answer = MediaRejectedError("decoding takes too much memory")
    with socket.socket(fileno=answering) as answered:
        answered.sendall(render_answer(answer))


def _close_all_but_parent() -> None:
    # None can have a higher number. Stdout and stderr lead nowhere.
    os.closerange(3, OPEN_FILES_MAX)


def _bound(limits: MediaLimits) -> None:
    for kind, most in (
        (resource.RLIMIT_AS, limits.probe_memory_max),
        (resource.RLIMIT_CPU, limits.probe_cpu_seconds_max),
        (resource.RLIMIT_NPROC, 0),
    ):
        limit(kind, most)


def _allow_time(question: Question) -> None:
    """Bounds the processor time of one file. That of all files of this fork is bounded by what one may have at the most."""
    used = math.ceil(time.process_time())
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = min(hard, used + question.limits_here.probe_cpu_seconds_max)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def limit(kind: int, most: int) -> None:
    """Limits this process and its forks, so that it cannot take the limit back."""
    # Our parent may have set a stricter limit, which cannot be raised.
    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (least, least))


def _own_bytes(pid: int) -> int:
    _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_bytes().split())
    return (resident - shared) * resource.getpagesize()
