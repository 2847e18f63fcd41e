"""What commands print: data to the standard output, for people as columns and for programs as JSON; talk to the other one."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Annotated, Any

import typer

AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON. So does any command whose output is not a terminal.")
]
PROGRAMS = frozenset({"reelgate", "reelgate-client"})
BAR_CELLS = 30
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "band": "41;97;1"}
_EIGHTHS = " ▏▎▍▌▋▊▉"


def program() -> str:
    """Returns the name that the command was called by."""
    name = Path(sys.argv[0]).stem
    return name if name in PROGRAMS else "reelgate-client"


def for_programs(as_json: bool) -> bool:
    """Returns whether to print JSON."""
    return as_json or not sys.stdout.isatty()


def print_json(value: Any) -> None:
    """Prints one object as one line."""
    typer.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints columns, each as wide as its widest cell."""
    lines = [tuple(headings), *(tuple(plain(cell) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        typer.echo(painted(text, "bold", sys.stdout) if number == 0 else text)


def print_pairs(pairs: Mapping[str, Any]) -> None:
    """Prints a line for each name and its value."""
    width = max(map(len, pairs))
    for name, value in pairs.items():
        typer.echo(f"{name.ljust(width)}  {plain(value)}".rstrip())


def say(text: str, colour: str = "") -> None:
    """Tells a person something."""
    typer.echo(painted(text, colour, sys.stderr), err=True)


def painted(text: str, colour: str, stream: IO[str]) -> str:
    """Returns the text in a colour, where the stream shows colours and nobody objects."""
    shows = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if colour and shows else text


def plain(value: Any) -> str:
    """Returns a value as one line that controls no terminal. Whole numbers print whole."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "".join(character if character.isprintable() else " " for character in str(value))


def bar(value: float, most: float, cells: int = BAR_CELLS) -> str:
    """Returns a bar whose length is to `cells` as the value is to `most`."""
    eighths = round(8 * cells * value / most) if most > 0 else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
