"""The separate process that parses and decodes untrusted files. It has no secrets and almost no rights.

It starts with an environment in which nothing is to be found, drops root, and forks for each file, or for several of one
owner that come soon after one another. Stdin is a socket: a question brings the file and a socket for the answer; when the
fork is done with it or has ended, the process reports how.
"""

import json
import os
import resource
import select
import socket
from contextlib import suppress
from typing import Final

from services.media.probe import probe
from services.media.probe_fork import (
    OPEN_FILES_MAX,
    QUESTION_BYTES_MAX,
    Fork,
    Job,
    Look,
    limit,
    start_fork,
)
from services.media.probed import parse_question
from services.media.warm_up import warm_up

USER_ID: Final = 65_533
"""The user that root becomes: a number that no user or service normally has."""
READY: Final = b"ready\n"
IDLE_SECONDS: Final = 2.0
"""How long a fork waits for another file of its owner."""


def serve(look: Look = probe) -> None:
    """Answers questions, one at a time, until the other end of stdin is closed."""
    client = socket.socket(fileno=0)
    _confine()
    client.sendall(READY)
    judge = _Judge(client, look)
    try:
        while (job := judge.next_job()) is not None:
            ending = judge.judge(job)
            job.close()
            client.sendall(json.dumps(ending).encode())
    finally:
        judge.end_fork()


class _Judge:
    """Has files looked at by a fork, and replaces it whenever a file needs another."""

    def __init__(self, client: socket.socket, look: Look) -> None:
        self._client = client
        self._look = look
        self._fork: Fork | None = None

    def next_job(self) -> Job | None:
        """Waits for a file. Returns None once there will be none."""
        if self._fork and not select.select([self._client], [], [], IDLE_SECONDS)[0]:
            self.end_fork()
        raw, fds, *_ = socket.recv_fds(self._client, QUESTION_BYTES_MAX, 2)
        if not raw:
            return None
        file, answer = fds
        return Job(question=parse_question(raw), raw=raw, file=file, answer=answer)

    def judge(self, job: Job) -> dict[str, object]:
        """Returns how looking at a file has ended."""
        try:
            fork = self._given(job)
        except OSError as error:
            self.end_fork()
            return {"failed": f"fork: {error.strerror}"}
        seconds = job.question.limits_here.probe_timeout_seconds
        ready, _, _ = select.select([self._client, fork.control], [], [], seconds)
        # The client sends nothing while a file is looked at: it has gone away, or time is up.
        is_killed = fork.control not in ready
        if not is_killed and fork.is_done():
            if not fork.may_go_on():
                self.end_fork()
            return {"exit": 0, "is_killed": False}
        return {"exit": self.end_fork(), "is_killed": is_killed}

    def end_fork(self) -> int:
        """Ends the fork, if there is one, and returns its exit code."""
        ended, self._fork = self._fork, None
        return ended.end() if ended else 0

    def _given(self, job: Job) -> Fork:
        owner = job.question.owner
        if self._fork and self._fork.owner == owner:
            # One that something has ended meanwhile is replaced.
            with suppress(OSError):
                self._fork.take(job)
                return self._fork
        self.end_fork()
        self._fork = start_fork(self._look, owner=owner)
        self._fork.take(job)
        return self._fork


def _confine() -> None:
    for kind, most in (
        (resource.RLIMIT_NOFILE, OPEN_FILES_MAX),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        limit(kind, most)
    if os.geteuid() == 0:
        # A container may allow no other user; then only the limits protect us.
        with suppress(OSError):
            os.setgroups([])
            os.setresgid(USER_ID, USER_ID, USER_ID)
            os.setresuid(USER_ID, USER_ID, USER_ID)


if __name__ == "__main__":
    warm_up()
    serve()
