"""What the rules of protovalidate are in JSON Schema. A rule that has no counterpart here stops the generation."""

import re
from typing import Any, Final

from protos.openapi.source import Field, UndescribedError

Schema = dict[str, Any]
INT32_MAX: Final = 2**31 - 1
_FOREIGN: Final = re.compile(r"\(\?|\\[AzZQEpPC]|\[\[:")
"""What RE2 reads otherwise than ECMA-262, which JSON Schema names: flags, anchors, and classes by name."""
_NAMES: Final = {
    "string": {
        "min_len": "minLength",
        "max_len": "maxLength",
        "pattern": "pattern",
        "in": "enum",
        "const": "const",
    },
    "int32": {
        "gte": "minimum",
        "lte": "maximum",
        "gt": "exclusiveMinimum",
        "lt": "exclusiveMaximum",
        "in": "enum",
        "const": "const",
    },
    "repeated": {"min_items": "minItems", "max_items": "maxItems", "unique": "uniqueItems", "items": "items"},
}
"""The keyword of each rule, by kind."""


def is_required(field: Field) -> bool:
    """Whether a request without the field is refused."""
    if field.rules is None or (field.is_optional and field.kind != "message"):
        return False
    if field.rules.required:
        return True
    return field.kind == "string" and not field.is_repeated and bool(_min_length(field.rules))


def keywords(field: Field) -> Schema:
    """Returns what the rules of a field add to its schema; those of the items of a list stand under `items`."""
    found: Schema = {}
    if field.rules is not None:
        for kind, rules in field.rules.ListFields():
            if kind.name != "required":
                found |= _keywords(field.name, kind.name, rules)
    if field.kind == "int32" and not field.is_repeated:
        return {"minimum": -INT32_MAX - 1, "maximum": INT32_MAX, **found}
    return found


def _keywords(name: str, kind: str, rules: Any) -> Schema:
    found: Schema = {}
    for rule, value in rules.ListFields():
        keyword = _NAMES.get(kind, {}).get(rule.name)
        if keyword is None:
            raise UndescribedError(f"{name}: rules.py knows no keyword for the rule {kind}.{rule.name}.")
        found[keyword] = _value(name, rule.name, value)
    if found.get("minimum", 0) > found.get("maximum", INT32_MAX):
        raise UndescribedError(f"{name}: a range from above to below cannot be said in JSON Schema.")
    return found


def _value(name: str, rule: str, value: Any) -> Any:
    if rule == "items":
        (kind, rules), *others = value.ListFields()
        assert not others, f"{name}: items have rules of one kind"
        return _keywords(name, kind.name, rules)
    if rule == "in":
        return list(value)
    if rule == "pattern" and _FOREIGN.search(value):
        raise UndescribedError(f"{name}: the pattern {value} means something else in ECMA-262.")
    return value


def _min_length(rules: Any) -> int:
    return int(rules.string.min_len)
