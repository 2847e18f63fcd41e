import os
from pathlib import Path
from typing import BinaryIO

TAIL_BYTES_MAX = 8192


def open_log(path: Path) -> BinaryIO:
    """Opens a log for appending. Only its owner may read it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")


def tail(path: Path, *, lines_max: int = 15) -> str:
    """Returns the last lines of a log, out of its last TAIL_BYTES_MAX."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES_MAX))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-lines_max:])
