"""Starts the Python processes of a stack as forks of one that has loaded what they share: less memory, and an earlier start."""

import asyncio
import ctypes
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import BinaryIO

from services.devstack.environment import child_environment
from services.devstack.nursery_process import LOADED
from services.devstack.processes import ProcessSpec
from services.devstack.programs import AdoptedProcess, Started, start_program

COMMAND = (sys.executable, "-m", "services.devstack.nursery_process")
ANSWER_SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 128
PR_SET_CHILD_SUBREAPER = 36


class Nursery:
    """One process that loads what others share, and forks for each that is started until `close`.

    Where forks of it cannot become ours, there is none.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._is_loaded = False
        self._is_closed = not _adopt_orphans(wanted=True)
        if self._is_closed:
            return
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        with theirs:
            # Ctrl-C must reach only the supervisor.
            self._process = subprocess.Popen(COMMAND, stdin=theirs.fileno(), cwd="/", start_new_session=True)

    async def start(self, spec: ProcessSpec, output: BinaryIO) -> Started:
        """Starts a process whose output goes into a file: a fork if it is a module of ours, and after `close` a program of its own."""
        if spec.words is not None:
            environment = child_environment(os.environ, spec.environment)
            order = {"name": spec.name, "words": list(spec.words), "environment": environment}
            # When it was killed, everything loads by itself.
            with suppress(ConnectionError):
                return await self._forked(json.dumps(order).encode(), output)
        return start_program(spec, output)

    def close(self) -> None:
        """Ends the process, and what it holds. What it began goes on."""
        if not self._is_closed:
            self._is_closed = True
            self._control.close()
            self._process.kill()
            self._process.wait()
            _adopt_orphans(wanted=False)

    async def _forked(self, order: bytes, output: BinaryIO) -> AdoptedProcess:
        async with self._turn:
            await self._until_loaded()
            told, theirs = socket.socketpair()
            with told:
                with theirs:
                    socket.send_fds(self._control, [order], [output.fileno(), theirs.fileno()])
                # It takes milliseconds. A wait that can be cancelled might leave a process that nobody knows of.
                told.settimeout(ANSWER_SECONDS_MAX)
                # The answer ends when the process between has ended, and not before that is the process ours.
                with told.makefile("rb") as answer:
                    pid = answer.read()
        if not pid:
            raise ConnectionResetError
        return AdoptedProcess(int(pid))

    async def _until_loaded(self) -> None:
        if self._is_closed:
            raise ConnectionResetError
        if not self._is_loaded:
            answer = await asyncio.get_running_loop().sock_recv(self._control, ANSWER_BYTES_MAX)
            if answer != LOADED:
                raise ConnectionResetError
            self._is_loaded = True


def _adopt_orphans(*, wanted: bool) -> bool:
    """Says whether a process becomes our child when its parent, a descendant of ours, ends. Those that are stay our children.

    Returns whether the system does so: only Linux can, and a sandbox may forbid it.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return prctl is not None and prctl(PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0) == 0
