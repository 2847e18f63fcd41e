"""JSON that we write ourselves, in streams and webhooks, with the numbers spelled as the edge spells them in polls."""

import json
from json.encoder import encode_basestring
from typing import Any


def compact_json(value: Any) -> str:
    """Returns JSON without a byte to spare. Members stay in their order."""
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, dict):
        members = (f"{encode_basestring(name)}:{compact_json(inner)}" for name, inner in value.items())
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(compact_json, value))}]"
    return json.dumps(value)


def number_text(number: float) -> str:
    """Returns the shorter of 15 and 17 digits that reads as the same number: as protobuf's JSON printer does.

    Whole numbers have no fraction, those of 16 digits that end in 0 an exponent.
    """
    text = f"{number:.15g}"
    return text if float(text) == number else f"{number:.17g}"
