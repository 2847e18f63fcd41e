"""Values of enums on the wire, and the texts they are everywhere else: `JOB_STATE_STORED` is `stored`."""

from typing import Any

from reelgate.admin.v1.environment_pb2 import Environment


def value_of(enum: Any, text: str) -> Any:
    """Returns the value of a text in an enum (`JobState.DESCRIPTOR`). Raises KeyError if it has none."""
    return enum.values_by_name[_prefix(enum) + text.upper()].number


def text_of(enum: Any, value: int) -> str:
    """Returns the text of a value, or "" if it is unspecified. One that only a newer release knows is its number."""
    if value == 0:
        return ""
    known = enum.values_by_number.get(value)
    return str(value) if known is None else str(known.name).removeprefix(_prefix(enum)).lower()


def environment_value(text: str) -> Any:
    """Returns the value of `live` or `test`. Raises KeyError if the text is neither."""
    return value_of(Environment.DESCRIPTOR, text)


def environment_of(value: int) -> str:
    """Returns `live` or `test`."""
    return text_of(Environment.DESCRIPTOR, value)


def _prefix(enum: Any) -> str:
    return str(enum.values_by_number[0].name).removesuffix("UNSPECIFIED")
