"""A probing process whose decoder does what the file says: for tests of what a hostile file could make it do."""

import json
import math
import os
import resource
import signal
import socket
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.media import probe_fork
from services.media.errors import MediaRejectedError
from services.media.limits import MIB, MediaLimits
from services.media.probe_process import serve
from services.media.probed import Probed

_taken: dict[str, Any] = {}
"""What a file has left behind in this process. Each fork begins with none."""


def obey(file: int, *, want_last_frame: bool, limits: MediaLimits) -> Probed:
    """Does as told, then rejects the file with what could be seen: or accepts it so, if the order begins with `tell-`."""
    order = os.pread(file, 100, 0).decode()
    _suffer()
    if order.startswith("tell-"):
        told = json.dumps({"told": seen(order.removeprefix("tell-"), file)}).encode()
        return Probed(duration_seconds=1.0, width=1, height=1, poster_jpeg=told, last_frame_jpeg=None)
    if order == "sleep":
        time.sleep(3_600)
    if order == "spin":
        _burn(math.inf)
    _harm(order, file, limits)
    raise MediaRejectedError(json.dumps({"told": seen(order, file)}))


def _harm(order: str, file: int, limits: MediaLimits) -> None:
    if order == "allocate":
        bytearray(2 * limits.probe_memory_max)
    if order == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if order == "flood":
        # The answer's socket is the last that was opened.
        with socket.socket(fileno=file + 1) as answer:
            while True:
                answer.sendall(b"x" * 1_000_000)
    if order == "garble":
        os.write(file + 1, b"\x00\xff nonsense")
        os._exit(0)
    if order == "raise":
        raise RuntimeError


def _suffer() -> None:
    """Does to this file what one before it has prepared."""
    match _taken.get("poison"):
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "reject":
            raise MediaRejectedError("poisoned")
        case "memory":
            raise MemoryError
        case "spin":
            _burn(math.inf)


def seen(order: str, file: int) -> object:
    """Returns what a decoder that was taken over could find out, or do."""
    kind, _, detail = order.partition("-")
    deeds: dict[str, Callable[[], object]] = {
        "who": lambda: _taken.setdefault("who", os.urandom(8).hex()),
        "poison": lambda: _taken.update(poison=detail),
        "burn": lambda: _burn(float(detail)),
        "hoard": lambda: _taken.update(hoard=b"x" * (int(detail) * MIB)),
        "leak": lambda: _taken.update(leak=[os.dup(each) for each in (file, file + 1)]),
        "keep": lambda: _keep_answer(file + 1),
        "add": lambda: _error_of(lambda: os.write(_taken["kept"], b"x")),
    }
    if kind in deeds:
        return deeds[kind]()
    finds: dict[str, Callable[[], object]] = {
        "environment": lambda: dict(os.environ),
        "user": lambda: [os.getuid(), os.geteuid(), os.getgroups()],
        "files": _open_kinds,
        "parents": lambda: [_readable(f"/proc/{number}/environ") for number in (os.getppid(), 1)],
        "write": lambda: _error_of(lambda: Path("/tmp/planted").write_bytes(b"x")),
        "fork": lambda: _error_of(os.fork),
        "limits": lambda: [
            resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)
        ],
    }
    return finds[order]()


def _burn(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def _keep_answer(answer: int) -> None:
    _taken["kept"] = os.dup(answer)
    probe_fork._close_all_but_parent = lambda: None


def _open_kinds() -> list[str]:
    kinds = []
    for number in range(256):
        with suppress(OSError):
            kinds.append(stat.filemode(os.fstat(number).st_mode)[0])
    return kinds


def _readable(path: str) -> bool:
    try:
        return bool(Path(path).read_bytes())
    except OSError:
        return False


def _error_of(deed: Callable[[], object]) -> str | None:
    try:
        deed()
    except OSError as error:
        return type(error).__name__
    return None


if __name__ == "__main__":
    serve(obey)
