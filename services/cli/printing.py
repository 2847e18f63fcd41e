"""What commands print: JSON for programs, columns for people."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from google.protobuf.message import Message


def print_json(value: object) -> None:
    """Prints a value as JSON; messages and dataclasses become objects."""
    typer.echo(_json(value, indent=2))


async def print_json_array(items: AsyncIterator[Any], *, end: str = "\n") -> None:
    """Prints items as one array, a line for each, without holding all of them in memory."""
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


def print_pairs(pairs: Mapping[str, str]) -> None:
    """Prints a line for each name and its value, the values aligned."""
    width = max(map(len, pairs))
    for pair in pairs.items():
        print_columns(pair, widths=(width, 0))


def print_columns(cells: Sequence[str], *, widths: Sequence[int]) -> None:
    """Prints one line of columns; a cell that is too wide shifts the rest. A negative width aligns to the right."""
    padded = [
        _printable(cell).ljust(width) if width >= 0 else _printable(cell).rjust(-width)
        for cell, width in zip(cells, widths, strict=True)
    ]
    typer.echo("  ".join(padded).rstrip())


def fields_of(message: "Message") -> dict[str, Any]:
    """Returns the fields of a message by name, int64 as a number, enums as text. What is absent is None."""
    return {
        field.name: None
        if field.message_type is None and field.has_presence and not message.HasField(field.name)
        else _value(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
    }


def _value(field: Any, value: Any) -> Any:
    if field.enum_type is None:
        return value
    from services.common.rpc.enums import text_of

    return text_of(field.enum_type, value) or None


def _json(value: object, *, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return fields_of(value) if hasattr(value, "DESCRIPTOR") else list(value)  # else a repeated field


def _printable(cell: str) -> str:
    """Replaces characters that would break the line or control the terminal."""
    return "".join(character if character.isprintable() else " " for character in cell)
