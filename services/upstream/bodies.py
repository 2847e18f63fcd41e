"""What providers answer with, read without trust: every fault is an UnusableBodyError."""

import json
import re
from typing import Any

_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class UnusableBodyError(ValueError):
    """A body is not what the documentation promises."""


def parse_object(body: bytes) -> dict[str, Any]:
    """Returns a JSON object. Raises UnusableBodyError."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnusableBodyError("not JSON") from error
    if not isinstance(value, dict):
        raise UnusableBodyError("not a JSON object")
    return value


def parse_task_id(value: object) -> str:
    """Returns an id that may be put into a path. Raises UnusableBodyError.

    Ids go into request paths, and a callback's id comes from anybody.
    """
    if not isinstance(value, str) or not _TASK_ID.fullmatch(value):
        raise UnusableBodyError("no usable task id")
    return value


def member(value: object, name: str) -> dict[str, Any]:
    """Returns a member of an object that is an object itself; an empty one if there is no such member."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def text(value: object, *, length_max: int = 1_024) -> str:
    """Returns what is a string, cut to a length; anything else is empty."""
    return value[:length_max] if isinstance(value, str) else ""
