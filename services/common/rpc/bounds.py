"""How large a request may be: decided by counts that cost nothing, before anything walks it."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from grpc.aio import ServicerContext

from services.common.errors import Reason, ServiceError, invalid_field
from services.common.rpc.interceptors import Handler, Unreadable
from services.common.rpc.object_limits import (
    OBJECT_BYTES_MAX,
    OBJECT_JSON_BYTES_MAX,
    OBJECT_LEVELS_MAX,
    OBJECT_VALUES_MAX,
)

UNKNOWN_BYTES_MAX = 256
"""Unknown fields up to this size are still read, to name them."""


def bounded(_method: str, inside: Handler) -> Handler:
    """Refuses a request that cannot be read, or that would cost more to check than any that is accepted.

    Runs after the middleware that identifies the caller, and before any that reads the request.
    """

    async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
        if isinstance(request, Unreadable):
            raise ServiceError(Reason.INVALID_FIELD, request.why)
        for name, sent in _objects(request, ""):
            refuse_large(name, sent)
        _refuse_padded(request)
        return await inside(request, context)

    return call


def refuse_large(name: str, sent: Struct) -> None:
    """Refuses an object of too many bytes, values or levels. Visits at most OBJECT_VALUES_MAX values."""
    level: list[Struct | ListValue] = [sent]
    value_count = depth = 0
    while level:
        depth += 1
        if depth > OBJECT_LEVELS_MAX:
            raise invalid_field(name, f"must be at most {OBJECT_LEVELS_MAX} levels deep")
        value_count += sum(map(_length, level))
        if value_count > OBJECT_VALUES_MAX:
            raise invalid_field(name, f"must hold at most {OBJECT_VALUES_MAX} values")
        level = [inner for outer in level for inner in _inside(outer)]
    if sent.ByteSize() > OBJECT_BYTES_MAX:
        raise invalid_field(name, f"must be at most {OBJECT_JSON_BYTES_MAX} bytes of JSON")


def _length(container: Struct | ListValue) -> int:
    return len(container.fields if isinstance(container, Struct) else container.values)


def _inside(container: Struct | ListValue) -> Iterator[Struct | ListValue]:
    values = container.fields.values() if isinstance(container, Struct) else container.values
    for value in values:
        found = _container_in(value)
        if found is not None:
            yield found


def _container_in(value: Value) -> Struct | ListValue | None:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return value.struct_value
    return value.list_value if kind == "list_value" else None


def _refuse_padded(request: Message) -> None:
    """Refuses more unknown fields than are worth naming."""
    known = type(request)()
    known.CopyFrom(request)
    known.DiscardUnknownFields()
    if request.ByteSize() > known.ByteSize() + UNKNOWN_BYTES_MAX:
        raise ServiceError(Reason.INVALID_FIELD, "The request has fields that are not known; remove them.")


def _objects(message: Message, path: str) -> Iterator[tuple[str, Struct]]:
    """Every free-form object of a request, under its full name."""
    for field in _leading_to_objects(message.DESCRIPTOR):
        if not message.HasField(field.name):
            continue
        name, value = f"{path}{field.name}", getattr(message, field.name)
        if isinstance(value, Struct):
            yield name, value
        else:
            yield from _objects(value, f"{name}.")


@cache
def _leading_to_objects(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    return tuple(field for field in descriptor.fields if _leads_to_object(field))


def _leads_to_object(field: FieldDescriptor) -> bool:
    inner = field.message_type
    if inner is None or field.is_repeated:
        return False
    return inner is Struct.DESCRIPTOR or bool(_leading_to_objects(inner))
