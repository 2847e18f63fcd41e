"""A probing process whose decoder does what the file says: for tests of what a hostile file could make it do."""

import json
import os
import resource
import signal
import socket
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from services.media.errors import MediaRejectedError
from services.media.limits import MediaLimits
from services.media.probe_process import serve
from services.media.probed import Probed


def obey(file: int, *, want_last_frame: bool, limits: MediaLimits) -> Probed:
    """Does as told, then rejects the file with what could be seen."""
    order = os.pread(file, 100, 0).decode()
    if order == "sleep":
        time.sleep(3_600)
    if order == "spin":
        while True:
            pass
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
    raise MediaRejectedError(json.dumps({"told": seen(order)}))


def seen(order: str) -> object:
    """Returns what a decoder that was taken over could find out, or do."""
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
