"""Probes files in separate processes, so that a file can harm nothing but its decoder."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from services.common.loop import Duty, performing
from services.media.errors import MediaRejectedError, MediaUnavailableError
from services.media.limits import MIB, MediaLimits
from services.media.probed import Probed, Question, parse_answer, render_question

COMMAND = (sys.executable, "-I", "-m", "services.media.probe_process")
REFERENCE_COMMAND = (sys.executable, "-I", "-m", "services.media.reference_probe")
"""For a prober of references."""
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""All that a process is given: it asks for pictures in large pages. Most of the time of a fork went into getting small ones."""
ANSWER_BYTES_MAX = 64 * MIB
"""A poster and the largest frame together are a tenth of this."""
LINE_BYTES_MAX = 4_096
BLOCK_BYTES = 256 * 1024
START_SECONDS_MAX = 60.0
STOP_SECONDS = 1.0
UNUSED_SECONDS = 60.0
"""A process that nothing needed for this long is ended, at twice this at the latest. It holds some 30 MiB, and is started in half a second."""
MARGIN_SECONDS = 30.0
"""How long after its own deadline a process may still answer."""


class Prober:
    """Probes files, a few at a time. A file that crashes its process is rejected; nothing else is affected."""

    def __init__(self, *, limits: MediaLimits, processes_max: int, command: Sequence[str] = COMMAND) -> None:
        self._limits = limits
        self._command = command
        self._room = asyncio.Semaphore(processes_max)
        self._idle: list[_Process] = []
        """The one that was used last is used next, unless another has looked at a file of the same owner."""
        self._never_taken = 0
        """How many of them, from the first, were idle all the time since `end_unused`."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ends the processes that probes started: with the block, and before that those that nothing needs any more."""
        try:
            async with performing(Duty("unused_probers", self.end_unused, idle_seconds=UNUSED_SECONDS)):
                yield
        finally:
            await self._stop(len(self._idle))

    async def end_unused(self) -> int:
        """Ends the processes that were idle all the time since it was called before. Returns 0: it has done all there is."""
        await self._stop(self._never_taken)
        self._never_taken = len(self._idle)
        return 0

    async def probe(self, path: Path, *, want_last_frame: bool, owner: str | None = None) -> Probed:
        """Returns the measured file. Raises MediaRejectedError, or MediaUnavailableError if it could not be probed.

        What looks at it may look at other files of the same `owner` as well, before and after. With None it looks at no other.
        No file is rejected for what another may have done: only what has looked at no other file may reject it.
        """
        limits = self._limits
        if owner is not None:
            question = Question(want_last_frame=want_last_frame, limits=limits, owner=owner)
            with suppress(MediaRejectedError):
                return await self._answered(path, question)
            limits = limits.left_by_shared()
        question = Question(want_last_frame=want_last_frame, limits=limits, owner=None)
        return await self._answered(path, question)

    async def _answered(self, path: Path, question: Question) -> Probed:
        async with self._room:
            process = await self._process_for(question.owner)
            is_well = False
            try:
                answer = await process.ask(path, question)
                is_well = True
            finally:
                if is_well:
                    self._idle.append(process)
                else:
                    process.kill()
        return _read(*answer)

    async def _process_for(self, owner: str | None) -> "_Process":
        """Takes the idle process that looked at a file of this owner last, or else the one that was used last, or a new one."""
        if not self._idle:
            return await _started(self._command)
        last = len(self._idle) - 1
        place = next((each for each in range(last, -1, -1) if self._idle[each].owner == owner), last)
        self._never_taken = min(self._never_taken, place)
        return self._idle.pop(place)

    async def _stop(self, count: int) -> None:
        ended, self._idle = self._idle[:count], self._idle[count:]
        await asyncio.gather(*(process.stop() for process in ended))


class _Process:
    def __init__(self, process: "subprocess.Popen[bytes]", control: socket.socket) -> None:
        self._process = process
        self._control = control
        self.owner: str | None = None
        """Whose file it looked at last."""

    async def ready(self) -> None:
        """Raises MediaUnavailableError if the process ends, or takes too long, before it is ready."""
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                is_ready = bool(await self._receive())
        except (TimeoutError, OSError):
            is_ready = False
        if not is_ready:
            raise MediaUnavailableError("probing process did not start")

    async def ask(self, path: Path, question: Question) -> tuple[bytes, dict[str, Any]]:
        """Returns the answer and how the fork ended. Raises MediaUnavailableError if the process is gone."""
        self.owner = question.owner
        try:
            async with asyncio.timeout(question.limits_here.probe_timeout_seconds + MARGIN_SECONDS):
                with self._send(path, render_question(question)) as ours:
                    answer = await _read_all(ours)
                ending = json.loads(await self._receive())
        except (TimeoutError, OSError, ValueError) as error:
            raise MediaUnavailableError(f"probing process failed: {type(error).__name__}") from error
        if "failed" in ending:
            raise MediaUnavailableError(f"probing process failed: {ending['failed']}")
        return answer, ending

    async def stop(self) -> None:
        """Ends the process, which exits once its control socket is closed."""
        self._control.close()
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kills the process and the fork that is probing."""
        self._control.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _send(self, path: Path, question: bytes) -> socket.socket:
        ours, theirs = socket.socketpair()
        try:
            with theirs, path.open("rb") as file:
                socket.send_fds(self._control, [question], [file.fileno(), theirs.fileno()])
        except OSError:
            ours.close()
            raise
        ours.setblocking(False)
        return ours

    async def _receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._control, LINE_BYTES_MAX)


async def _started(command: Sequence[str]) -> _Process:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        try:
            # No `user` and no `preexec_fn`: they would fork this process, which gRPC does not survive.
            started = subprocess.Popen(  # noqa: ASYNC220, S603  it returns once the program is loaded
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise MediaUnavailableError(f"probing process did not start: {error.strerror}") from error
    process = _Process(started, ours)
    try:
        await process.ready()
    except BaseException:
        process.kill()
        raise
    return process


async def _read_all(answering: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    answer = bytearray()
    while block := await loop.sock_recv(answering, BLOCK_BYTES):
        answer += block
        if len(answer) > ANSWER_BYTES_MAX:
            raise MediaRejectedError("undecodable: the decoder's answer is too long")
    return bytes(answer)


def _read(answer: bytes, ending: dict[str, Any]) -> Probed:
    if ending["is_killed"]:
        raise MediaRejectedError("decoding takes too long")
    if ending["exit"] != 0:
        raise MediaRejectedError(f"undecodable: the decoder ended with {ending['exit']}")
    return parse_answer(answer)
