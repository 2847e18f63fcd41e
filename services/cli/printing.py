"""What commands print: JSON for programs, columns for people."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any

import typer


def print_json(value: object) -> None:
    """Prints a value of JSON, in which dataclasses stand for objects."""
    typer.echo(_json(value, indent=2))


async def print_json_array(items: AsyncIterator[Any], *, end: str = "\n") -> None:
    """Prints items as one array, a line for each, without ever having them all."""
    before = "[\n"
    async for item in items:
        typer.echo(f"{before}  {_json(item)}", nl=False)
        before = ",\n"
    typer.echo("[]" if before == "[\n" else "\n]", nl=False)
    typer.echo(end, nl=False)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns, each as wide as its widest cell."""
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print_columns(line, widths=widths)


def print_columns(cells: Sequence[str], *, widths: Sequence[int]) -> None:
    """Prints one line of columns; what is wider than its column moves the others. A negative width aligns to the right."""
    padded = [
        _printable(cell).ljust(width) if width >= 0 else _printable(cell).rjust(-width)
        for cell, width in zip(cells, widths, strict=True)
    ]
    typer.echo("  ".join(padded).rstrip())


def _json(value: object, *, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, default=asdict)


def _printable(cell: str) -> str:
    """Keeps what somebody wrote on its line, and from giving the terminal orders."""
    return "".join(character if character.isprintable() else " " for character in cell)
