"""How processes start: as a program, or begun by another process and adopted."""

import os
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import BinaryIO

from services.devstack.environment import child_environment
from services.devstack.postgres import privileges_of
from services.devstack.processes import ProcessSpec

POLL_SECONDS = 0.02


class AdoptedProcess:
    """A process that is our child though another one began it, to be handled like a `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Returns the exit code, or None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code once it has ended. Raises TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(POLL_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        """Sends a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


Started = subprocess.Popen[bytes] | AdoptedProcess
Start = Callable[[ProcessSpec, BinaryIO], Awaitable[Started]]
"""Starts a process whose output goes into a file."""


def start_program(spec: ProcessSpec, output: BinaryIO) -> Started:
    """Starts a process as a program of its own. Its output goes into a file."""
    return subprocess.Popen(
        spec.argv,
        cwd="/",
        env=child_environment(os.environ, spec.environment),
        **privileges_of(spec.user),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        # Ctrl-C must reach only the supervisor, which stops processes in order.
        start_new_session=True,
    )
