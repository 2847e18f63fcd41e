"""Keeps processes running: a process that dies is restarted with increasing delay, on the same port."""

import asyncio
import logging
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from services.common.backoff import backoff_seconds
from services.devstack.errors import StackError
from services.devstack.identity import Identity, identity_of, kill_group
from services.devstack.log_files import open_log, tail
from services.devstack.processes import ProcessSpec
from services.devstack.programs import Start, Started
from services.devstack.readiness import answers
from services.devstack.state import ProcessState

log = logging.getLogger("reelgate.stack")

POLL_SECONDS = 0.05
ASK_POLLS = 4
"""A process is asked at every so many polls whether it answers: to ask costs more than to see that it lives."""
RESTART_WAIT_SECONDS_FIRST = 0.1
RESTART_WAIT_SECONDS_MAX = 5.0
STEADY_SECONDS = 10.0
"""A process that ran this long restarts without extra delay."""
FIRST_STARTS_MAX = 3
"""Exits before a process was ever ready, after which the start of the stack fails."""
LOG_BYTES_MAX = 64 * 1024 * 1024


class Supervised:
    """One process that is kept running from `start` until `stop`."""

    def __init__(
        self,
        spec: ProcessSpec,
        *,
        log_path: Path,
        changed: Callable[[], None],
        start: Start,
    ) -> None:
        self.spec = spec
        self.restarts = 0
        self.ready = False
        self._log_path = log_path
        self._changed = changed
        self._start = start
        self._was_ready = False
        self._identity: Identity | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the process and keeps it running."""
        self._task = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        """Stops the process, and kills it if it takes longer than its specification allows."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])

    def raise_failure(self) -> None:
        """Raises what ended the supervision: StackError if the process could not be started at all."""
        if self._task is not None and self._task.done():
            self._task.result()

    def state(self) -> ProcessState | None:
        """Returns the state of the process, or None before its first start."""
        if self._identity is None:
            return None
        return ProcessState(
            name=self.spec.name,
            pid=self._identity.pid,
            started=self._identity.started,
            port=self.spec.port,
            restarts=self.restarts,
            ready=self.ready,
        )

    async def _keep_running(self) -> None:
        failures = 0
        while True:
            started_at = time.monotonic()
            with open_log(self._log_path) as output:
                process = await self._start(self.spec, output)
                self._identity = identity_of(process.pid)
                self._changed()
                try:
                    await self._until_exit(process, output)
                finally:
                    await self._end(process)
            failures = 1 if time.monotonic() - started_at > STEADY_SECONDS else failures + 1
            if not self._was_ready and failures == FIRST_STARTS_MAX:
                raise StackError(f"{self.spec.name} does not start. Its log ends:\n{tail(self._log_path)}")
            self.restarts += 1
            wait = backoff_seconds(failures, first=RESTART_WAIT_SECONDS_FIRST, most=RESTART_WAIT_SECONDS_MAX)
            log.warning(
                "%s ended with %d; starting it again in %.1f s", self.spec.name, process.returncode, wait
            )
            self._changed()
            await asyncio.sleep(wait)

    async def _until_exit(self, process: Started, output: BinaryIO) -> None:
        polls = 0
        while process.poll() is None:
            polls += 1
            if not self.ready and polls % ASK_POLLS == 0 and await self._answers():
                self.ready = self._was_ready = True
                self._changed()
            if os.fstat(output.fileno()).st_size > LOG_BYTES_MAX:
                output.truncate(0)
            await asyncio.sleep(POLL_SECONDS)

    async def _answers(self) -> bool:
        for address in self.spec.ready_at:
            if not await answers(address):
                return False
        return True

    async def _end(self, process: Started) -> None:
        self.ready = False
        process.send_signal(self.spec.stop_signal)
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, self.spec.stop_seconds)
        kill_group(process.pid)
        process.wait()


async def until_ready(processes: Sequence[Supervised], *, deadline: float) -> None:
    """Returns when all answer. Raises StackError if one cannot start, or at `deadline` (monotonic seconds)."""
    while waiting := [process for process in processes if not process.ready]:
        for process in waiting:
            process.raise_failure()
        if time.monotonic() > deadline:
            raise StackError(f"Not ready in time: {', '.join(process.spec.name for process in waiting)}.")
        await asyncio.sleep(POLL_SECONDS)
