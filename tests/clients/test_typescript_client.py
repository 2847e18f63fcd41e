"""The TypeScript client, built and tested with the Node of the wheel, as whoever installs it would have it."""

import re
import subprocess
from pathlib import Path

from clients.typescript.build import NODE, PACKAGE, TOOLS, TYPES, built, write_types
from tests.patience import PATIENCE_SECONDS

LINES_MAX = 700


def test_it_passes_its_own_tests() -> None:
    done = _node("--test", "tests/*.test.mjs", folder=built())

    assert done.returncode == 0, done.stdout[-5_000:]
    [passed] = re.findall(r"^. pass (\d+)$", done.stdout, re.MULTILINE)
    assert int(passed) > 150


def test_its_types_are_those_of_the_documents(tmp_path: Path) -> None:
    write_types(tmp_path)

    for fresh in tmp_path.iterdir():
        assert fresh.read_bytes() == (TYPES / fresh.name).read_bytes(), "run `make gen` and commit"


def test_programs_are_checked_against_the_types_of_the_contracts(tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "reelgate-client").symlink_to(built())
    (tmp_path / "program.mts").write_bytes((PACKAGE / "tests" / "types.ts").read_bytes())
    options = [
        "--noEmit",
        "--strict",
        "--module",
        "nodenext",
        "--target",
        "es2022",
        "--lib",
        "es2023,dom,dom.iterable",
    ]

    done = _node(TOOLS / "typescript/bin/tsc", *options, "program.mts", folder=tmp_path)

    assert done.returncode == 0, done.stdout


def test_it_needs_nothing_else_and_stays_small() -> None:
    sources = [path.read_text(encoding="utf-8") for path in sorted((PACKAGE / "src").glob("*.ts"))]
    imported = {name for source in sources for name in re.findall(r"""from "([^"]+)";""", source)}
    lines = [line for source in sources for line in source.splitlines()]

    assert all(name.startswith("./") for name in imported)
    assert sum(1 for line in lines if re.match(r"\s*[^\s/*]", line)) <= LINES_MAX


def _node(*arguments: str | Path, folder: Path = PACKAGE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NODE, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
