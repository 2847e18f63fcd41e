from pathlib import Path

TAIL_BYTES_MAX = 8192


def tail(path: Path, *, lines_max: int = 15) -> str:
    """Returns the last lines of a log, out of its last TAIL_BYTES_MAX."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES_MAX))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-lines_max:])
