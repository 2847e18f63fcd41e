"""Tries every other Python of this machine that Reelgate supports: `python -m tests.newcomer.pythons`.

On each: set-up, the unit and contract tests, and one video from `reelgate up` to its MP4. The whole suite runs on the
default one, by `make test`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.newcomer.video import described

MINORS = range(11, 15)
"""Of Python 3: as `requires-python` in pyproject.toml says."""
ROOT = Path(__file__).parents[2]
SHOWN = "import json, sys; print(json.dumps(sys.version_info[:3]))"


def main() -> int:
    """Tries each other interpreter in turn. Returns the exit code."""
    default = ".".join(map(str, sys.version_info[:3]))
    others = interpreters()
    if not others:
        print(f"This machine has no other supported Python than {default}, which `make test` runs on.")
        return 0
    for version, path in others.items():
        print(f"== Python {version} ({path})", flush=True)
        started = time.monotonic()
        try_interpreter(path, venv=Path("build") / f"python{version}")
        print(f"== Python {version} works, in {time.monotonic() - started:.0f} s", flush=True)
    print(f"Tried: {default} by `make test`, {', '.join(others)} here.")
    return 0


def interpreters() -> dict[str, Path]:
    """Returns the newest interpreter of each supported minor version other than this one's, by its version."""
    found: dict[int, tuple[tuple[int, ...], Path]] = {}
    for path in _candidates():
        shown = subprocess.run([path, "-I", "-c", SHOWN], capture_output=True, text=True, check=False)
        if shown.returncode != 0:
            continue  # a shim of pyenv whose version is not switched on
        major, minor, _ = version = tuple(json.loads(shown.stdout))
        if major == 3 and minor in MINORS and minor != sys.version_info.minor:
            found[minor] = max(found.get(minor, ((), path)), (version, path))
    return {".".join(map(str, version)): path for _, (version, path) in sorted(found.items())}


def _candidates() -> Iterator[Path]:
    names = [f"python3.{minor}" for minor in MINORS]
    yield from (Path(path) for path in map(shutil.which, names) if path is not None)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for name in names:
        yield from sorted(pyenv.glob(f"versions/*/bin/{name}"))


def try_interpreter(python: Path, *, venv: Path) -> None:
    """Sets up on one interpreter, runs its tests and makes a video. Raises CalledProcessError at the first failure."""
    _run("make", "--no-print-directory", "setup", f"PYTHON={python}", f"VENV={venv}")
    bin_folder = ROOT / venv / "bin"
    _run(bin_folder / "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "tests/unit", "tests/contract")
    with tempfile.TemporaryDirectory(prefix="reelgate-python-") as folder:
        Path(folder).chmod(0o711)  # as root, PostgreSQL runs as another user who must get in
        reelgate, data, video = bin_folder / "reelgate", f"--data={folder}/stack", Path(folder) / "boat.mp4"
        _run(reelgate, "up", "--detach", "--port", "0", data)
        try:
            _run(reelgate, "generate", "A paper boat sails down a rainy street", data, "--out", video)
        finally:
            _run(reelgate, "down", data)
        print(described(video), flush=True)


def _run(*command: str | Path) -> None:
    # Without the variable by which make hands its job slots on, which the inner make would complain of.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS")}
    subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
