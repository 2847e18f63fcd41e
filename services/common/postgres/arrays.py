"""Lists as parameters of statements, written as PostgreSQL writes arrays."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from types import NoneType
from typing import Any

from psycopg import DataError
from psycopg.adapt import Buffer, Dumper
from typing_extensions import override


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_WRITTEN: dict[type, Callable[[Any], str]] = {
    str: _quoted,
    int: str,
    bool: lambda value: "t" if value else "f",
    float: repr,
    datetime: lambda value: f'"{value.isoformat()}"',
    date: str,
    timedelta: lambda value: f'"{value.days:+d} d {value.seconds:+d}.{value.microseconds:06d} s"',
    bytes: lambda value: f'"\\\\x{value.hex()}"',
    NoneType: lambda _: "NULL",
}


class ArrayDumper(Dumper):
    """Writes a list without looking for a type that fits all of its items: the statement says of what type its array is.

    psycopg's own takes some six times as long, and has a statement planned again for lists with other or larger items.
    """

    @override
    def dump(self, obj: list[Any]) -> Buffer:
        """Returns the text of an array. Raises DataError for what no array can have."""
        try:
            written = ",".join([_WRITTEN[type(item)](item) for item in obj])
        except KeyError as error:
            raise DataError(f"no array of ours has items of the type {error}") from error
        if "\0" in written:
            raise DataError("texts of PostgreSQL have no NUL characters")
        return f"{{{written}}}".encode()
