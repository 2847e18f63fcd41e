"""The limits that the protos state, enforced before a method runs."""

from collections.abc import Iterable, Sequence
from typing import Any

import protovalidate
from google.protobuf.message import Message
from grpc.aio import ServicerContext

from services.common.egress.urls import DATA_URL, NO_DATA_URL
from services.common.errors import ServiceError, invalid_field
from services.common.rpc.interceptors import Handler

_VALIDATOR = protovalidate.Validator()
_OURS = "reelgate."
_EMPTY = "is required and must not be empty"
"""An empty text and none look the same in a message."""
_EMPTY_ITEM = "must not be empty"


def validated(_method: str, inside: Handler) -> Handler:
    """Refuses a request that breaks a rule of its proto, naming field, rule and value."""

    async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
        _refuse_nul(request, "")
        violations = _VALIDATOR.collect_violations(request, fail_fast=True)
        if violations:
            raise _refusal(violations[0], request)
        return await inside(request, context)

    return call


def _refuse_nul(message: Message, path: str) -> None:
    for field, value in message.ListFields():
        name = f"{path}.{field.name}" if path else field.name
        if field.type == field.TYPE_STRING and "\0" in (value if isinstance(value, str) else "".join(value)):
            # PostgreSQL stores no text that contains one.
            raise invalid_field(name, "must not contain NUL characters")
        if field.message_type is not None and field.message_type.full_name.startswith(_OURS):
            inner: Iterable[Message] = value if field.is_repeated else (value,)
            for each in inner:
                _refuse_nul(each, name)


def _refusal(violation: protovalidate.Violation, request: Message) -> ServiceError:
    proto = violation.proto
    elements = proto.field.elements if proto.field else ()
    field = _path(elements)
    value = violation.field_value
    if proto.rule_id == "required":
        return invalid_field(field, "is required")
    if proto.rule_id == "string.min_len" and value == "":
        return invalid_field(field, _EMPTY_ITEM if field.endswith("]") else _EMPTY)
    if proto.rule_id == "string.in" or proto.rule_id.startswith("enum."):
        allowed = violation.rule_value if proto.rule_id == "string.in" else _values(request, elements)
        return invalid_field(field, f"must be one of {', '.join(allowed)}", value)
    if proto.rule_id == "repeated.unique":
        index = next(index for index, item in enumerate(value) if item in value[:index])
        return invalid_field(f"{field}[{index}]", "must not be given twice", value[index])
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return invalid_field(field, f"{proto.message}; it had {len(value)}")
    is_file = proto.rule_id == "string.max_len" and str(value).startswith(DATA_URL)
    return invalid_field(field, NO_DATA_URL if is_file else str(proto.message), value)


def _values(request: Message, elements: Iterable[Any]) -> list[str]:
    message: Any = request.DESCRIPTOR
    for element in elements:
        field = message.fields_by_name[element.field_name]
        message = field.message_type
    return [value.name for value in field.enum_type.values if value.number != 0]


def _path(elements: Iterable[Any]) -> str:
    parts = []
    for element in elements:
        index = f"[{element.subscript.value}]" if element.subscript else ""
        parts.append(f"{element.field_name}{index}")
    return ".".join(parts)
