"""Empty texts in requests: form builders and templates send one where they mean no value."""

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from buf.validate import validate_pb2
from google.api import annotations_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from grpc.aio import ServicerContext

from services.common.rpc.interceptors import OURS, Handler


class _Texts(NamedTuple):
    """Where a message may hold texts that can be absent."""

    own: tuple[str, ...]
    inner: tuple[FieldDescriptor, ...]
    """Messages that have some, lists of them included."""


def without_blanks(method: str, inside: Handler) -> Handler:
    """Makes an optional text that is empty absent, at any depth, before anything reads or compares the request.

    One exception: in a PATCH, which changes what is sent, a text whose rules allow an empty one is emptied by it.
    """
    keeps_values = _is_patch(method)

    async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
        _clear(request, keeps_values=keeps_values)
        return await inside(request, context)

    return call


def _clear(message: Message, *, keeps_values: bool) -> None:
    texts = _texts(message.DESCRIPTOR, keeps_values)
    for name in texts.own:
        if message.HasField(name) and not getattr(message, name):
            message.ClearField(name)
    for field in texts.inner:
        for each in _messages(message, field):
            _clear(each, keeps_values=keeps_values)


def _messages(message: Message, field: FieldDescriptor) -> Iterable[Message]:
    value: Any = getattr(message, field.name)
    if field.is_repeated:
        return tuple(value)
    return (value,) if message.HasField(field.name) else ()


@cache
def _texts(descriptor: Descriptor, keeps_values: bool) -> _Texts:
    own = (
        field.name
        for field in descriptor.fields
        if field.type == field.TYPE_STRING
        and field.has_presence
        and not (keeps_values and _may_be_empty(field))
    )
    inner = (
        field
        for field in descriptor.fields
        if _is_ours(field) and any(_texts(field.message_type, keeps_values))
    )
    return _Texts(tuple(own), tuple(inner))


def _may_be_empty(field: FieldDescriptor) -> bool:
    rules = field.GetOptions().Extensions[validate_pb2.field].string
    return not (rules.min_len or getattr(rules, "in"))


def _is_ours(field: FieldDescriptor) -> bool:
    inner = field.message_type
    if inner is None or inner.GetOptions().map_entry:
        return False
    return inner.full_name.startswith(OURS.removeprefix("/"))


def _is_patch(method: str) -> bool:
    _, service, name = method.split("/")
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    return bool(found.GetOptions().Extensions[annotations_pb2.http].WhichOneof("pattern") == "patch")
