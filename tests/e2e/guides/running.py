"""Runs the blocks of one page, in their order, in one folder."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clients.typescript.build import NODE, built
from tests.e2e.guides.blocks import Block
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[3]
SHELL = """set -euo pipefail
if [ -f .shell ]; then . ./.shell; fi
set -a
{text}
export -p > .shell
"""
"""Variables that a block sets are there for the next one."""


class BlockError(AssertionError):
    """A block of a page does not do what the page says."""


class Page:
    """A page whose blocks are being run."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._python: subprocess.Popen[str] | None = None
        self._runs = {
            "sh": self._run_shell,
            "python": self._run_python,
            "javascript": self._run_node,
            "typescript": self._run_node,
            "json": _parse,
        }

    def run(self, block: Block) -> str:
        """Runs a block. Returns what it printed. Raises BlockError when it fails, or nothing here runs its language."""
        run = self._runs.get(block.language)
        if run is None:
            raise BlockError(
                f"line {block.line}: nothing runs {block.language}; say why above it: <!-- not run: … -->"
            )
        try:
            return run(block)
        except BlockError as error:
            raise BlockError(f"line {block.line}: {error}\n\n{block.text}") from None

    def close(self) -> None:
        """Ends the Python session, if there is one."""
        if self._python is not None:
            self._python.communicate(timeout=PATIENCE_SECONDS)

    def _run_shell(self, block: Block) -> str:
        return self._program(["bash", "-c", SHELL.format(text=block.text)])

    def _run_node(self, block: Block) -> str:
        suffix = ".mts" if block.language == "typescript" else ".mjs"
        program = self._folder / f"block_{block.line}{suffix}"
        program.write_text(block.text, encoding="utf-8")
        return self._program([str(NODE), program.name])

    def _run_python(self, block: Block) -> str:
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("python_session.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=self._folder,
                env=self._environment,
            )
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        self._python.stdin.write(json.dumps(block.text) + "\n")
        self._python.stdin.flush()
        answer: dict[str, Any] = json.loads(self._python.stdout.readline())
        if answer["failed"]:
            raise BlockError(answer["printed"])
        return str(answer["printed"])

    def _program(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise BlockError(f"exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def _parse(block: Block) -> str:
    try:
        json.loads(block.text)
    except ValueError as error:
        raise BlockError(f"not JSON: {error}") from None
    return ""


@contextmanager
def open_page(folder: Path, environment: Mapping[str, str]) -> Iterator[Page]:
    """Opens a page in an empty folder, where JavaScript finds the built client of this repository."""
    modules = folder / "node_modules"
    modules.mkdir()
    (modules / "reelgate-client").symlink_to(built())
    page = Page(folder, environment)
    try:
        yield page
    finally:
        page.close()
