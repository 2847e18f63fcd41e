"""The customer's own object: taken as it was sent, kept as JSON, shown with its keys in one order.

The order is that in which protobuf writes a map when it is to be deterministic, because polls and lists go that way.
"""

import json
import math
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct, Value

from services.common.errors import invalid_field
from services.common.rpc.object_limits import OBJECT_JSON_BYTES_MAX
from services.jobs.convert.json_text import compact_json

WHOLE_MAX: Final = 2**53 - 1
"""Beyond it a 64-bit float stands for more than one whole number."""
NAME_LENGTH_MAX: Final = 64
"""So much of a key is shown in a refusal."""
_FIELD = "metadata"


def parse_metadata(sent: Struct) -> str:
    """Returns metadata as JSON. Refuses with INVALID_FIELD numbers that would come back as others, and too much of it.

    The middleware `bounded` has let it through, so that it is neither deep nor long.
    """
    text = compact_json(_members(sent, _FIELD))
    byte_count = len(text.encode())
    if byte_count > OBJECT_JSON_BYTES_MAX:
        rule = f"must be at most {OBJECT_JSON_BYTES_MAX} bytes of JSON; it had {byte_count}"
        raise invalid_field(_FIELD, rule)
    return text


def render_metadata(kept: str) -> dict[str, Any]:
    """Returns metadata as JSON values, keys in order, every number a float: also of jobs that kept them otherwise."""
    shown: dict[str, Any] = json.loads(kept, parse_int=float, object_pairs_hook=_in_order)
    return shown


def place_of(name: str) -> bytes:
    """Returns what keys are ordered by: their bytes, and what begins with another key stands before it."""
    return name.encode() + b"\xff"


def _in_order(members: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(sorted(members, key=lambda member: place_of(member[0])))


def _members(sent: Struct, path: str) -> dict[str, Any]:
    return {
        name: _value(sent.fields[name], f"{path}.{_cut(name)}") for name in sorted(sent.fields, key=place_of)
    }


def _value(sent: Value, path: str) -> Any:
    kind = sent.WhichOneof("kind")
    if kind == "string_value":
        return sent.string_value
    if kind == "number_value":
        return _number(sent.number_value, path)
    if kind == "bool_value":
        return sent.bool_value
    if kind == "struct_value":
        return _members(sent.struct_value, path)
    if kind == "list_value":
        return [_value(value, f"{path}[{index}]") for index, value in enumerate(sent.list_value.values)]
    return None


def _number(sent: float, path: str) -> float:
    if not math.isfinite(sent):
        raise invalid_field(path, "is a number that JSON cannot write; write it as text", str(sent))
    if abs(sent) > WHOLE_MAX:
        raise invalid_field(path, f"must be between -{WHOLE_MAX} and {WHOLE_MAX}; write it as text", sent)
    return sent


def _cut(name: str) -> str:
    return name if len(name) <= NAME_LENGTH_MAX else f"{name[:NAME_LENGTH_MAX]}…"
