"""The runbooks, and the commands that stand in them."""

import re
from pathlib import Path

from deploy.observability.render import ROOT
from deploy.observability.rules import RUNBOOKS

FOLDER: Path = ROOT / RUNBOOKS
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`((?:reelgate|kubectl) [^`\n]+)`")
_INSIDE = re.compile(r"^kubectl .* -- python -m services\.(\w+) check$")


def pages() -> dict[str, str]:
    """Returns the text of every runbook by its path from the root."""
    return {
        f"{RUNBOOKS}/{path.name}": path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))
    }


def commands(text: str) -> list[str]:
    """Returns every command of a page: those of its blocks, and those between backticks in its sentences."""
    blocks = [line for block in _BLOCK.findall(text) for line in block.splitlines() if line]
    return [*blocks, *_SPAN.findall(_BLOCK.sub("", text))]


def local(command: str) -> str | None:
    """Returns what does the same on a local stack, or None if it is about the cluster."""
    if command.startswith("reelgate "):
        return command.removeprefix("reelgate ")
    inside = _INSIDE.match(command)
    return f"check {inside[1]}" if inside else None
