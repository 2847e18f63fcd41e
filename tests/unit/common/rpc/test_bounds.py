"""No request costs more to check than its bytes: what would is refused before anything walks it."""

import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from types import FrameType
from typing import Any, Self, cast

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from services.billing.wiring import ACCESS as BILLING_ACCESS
from services.common.errors import Reason, ServiceError
from services.common.rpc.bounds import bounded, refuse_large
from services.common.rpc.interceptors import Handler, Unreadable
from services.common.rpc.object_limits import OBJECT_BYTES_MAX, OBJECT_VALUES_MAX
from services.common.rpc.server import PUBLIC_REQUEST_BYTES_MAX
from services.common.rpc.validation import validated
from services.jobs.rpc.access import PUBLIC_ACCESS
from services.webhooks.wiring import ACCESS as WEBHOOKS_ACCESS

OURS = "reelgate."
UNKNOWN_FIELD = b"\xf8\x07\x01"
"""Field number 127, with the value 1."""
TEXT_BYTES = 200_000
ITEMS = 80_000
STEPS_MAX = 500
"""Calls of functions, in Python and in C, that a request may cost which no middleware but `validated` refuses."""


def _request_types() -> Iterator[type[Message]]:
    import_module("services.jobs.wiring.process")  # which loads all its protos
    pool = descriptor_pool.Default()
    for service in {*PUBLIC_ACCESS, *BILLING_ACCESS, *WEBHOOKS_ACCESS}:
        if service.startswith(OURS):
            for method in pool.FindServiceByName(service).methods:
                yield message_factory.GetMessageClass(method.input_type)


REQUEST_TYPES = sorted(set(_request_types()), key=lambda kind: kind.DESCRIPTOR.full_name)


def _parents(message: Message) -> Iterator[Message]:
    """The message and all singular messages of ours in it, each made to exist."""
    yield message
    for field in message.DESCRIPTOR.fields:
        inner = field.message_type
        if inner is not None and not field.is_repeated and inner.full_name.startswith(OURS):
            getattr(message, field.name).SetInParent()
            yield from _parents(getattr(message, field.name))


def _instances(kind: type[Message], spoil: Callable[[Message], Iterator[None]]) -> Iterator[Message]:
    """Requests of a type that are spoilt in one place each."""
    places = sum(sum(1 for _ in spoil(parent)) for parent in _parents(kind()))
    for wanted in range(places):
        request, place = kind(), 0
        for parent in list(_parents(request)):
            for _ in spoil(parent):
                place += 1
                if place > wanted:
                    break
            if place > wanted:
                break
        yield request


def _fields(message: Message) -> Iterator[FieldDescriptor]:
    yield from cast("Iterable[FieldDescriptor]", message.DESCRIPTOR.fields)


def _long_text(message: Message) -> Iterator[None]:
    for field in _fields(message):
        if field.type == field.TYPE_STRING and not field.is_repeated:
            setattr(message, field.name, "x" * TEXT_BYTES)
            yield


def _long_list(message: Message) -> Iterator[None]:
    for field in _fields(message):
        if field.type == field.TYPE_STRING and field.is_repeated:
            getattr(message, field.name).extend([""] * ITEMS)
            yield


def _padding(message: Message) -> Iterator[None]:
    message.MergeFromString(UNKNOWN_FIELD * ITEMS)
    yield


def _objects(value: dict[str, Any]) -> Callable[[Message], Iterator[None]]:
    def spoil(message: Message) -> Iterator[None]:
        for field in _fields(message):
            if field.message_type is Struct.DESCRIPTOR:
                ParseDict(value, getattr(message, field.name))
                yield

    return spoil


def _deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


HEAVY = {
    "padding": _padding,
    "many values": _objects({"a": [0] * 40_000}),
    "many lists": _objects({"a": [[]] * 40_000}),
    "many members": _objects({f"{number}": None for number in range(20_000)}),
    "long texts in an object": _objects({"a": "x" * TEXT_BYTES}),
    "a deep object": _objects(_deep(30)),
}
LONG = {"a long text": _long_text, "a long list": _long_list}


async def _refused(surrounded: Handler, request: object) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await surrounded(request, cast("Any", None))
    return caught.value


async def _reached(_request: Any, _context: Any) -> Message:
    raise AssertionError("what stands inside must not see the request")


class _Counted:
    """Counts calls of functions while it is entered."""

    def __enter__(self) -> Self:
        self.steps = 0
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, _frame: FrameType, event: str, _argument: object) -> None:
        self.steps += event in {"call", "c_call"}


@pytest.mark.parametrize("kind", REQUEST_TYPES, ids=lambda kind: kind.DESCRIPTOR.full_name)
@pytest.mark.parametrize("spoil", HEAVY.values(), ids=HEAVY)
async def test_no_public_request_is_walked_that_holds_too_much(
    kind: type[Message], spoil: Callable[[Message], Iterator[None]]
) -> None:
    for request in _instances(kind, spoil):
        assert request.ByteSize() <= PUBLIC_REQUEST_BYTES_MAX

        refused = await _refused(bounded("/a.B/C", _reached), request)

        assert refused.reason is Reason.INVALID_FIELD


@pytest.mark.parametrize("kind", REQUEST_TYPES, ids=lambda kind: kind.DESCRIPTOR.full_name)
@pytest.mark.parametrize("spoil", LONG.values(), ids=LONG)
async def test_long_texts_and_lists_are_refused_without_a_step_for_each_character_or_item(
    kind: type[Message], spoil: Callable[[Message], Iterator[None]]
) -> None:
    surrounded = bounded("/a.B/C", validated("/a.B/C", _answer))
    for request in _instances(kind, spoil):
        counted = _Counted()
        try:
            with counted:
                await surrounded(request, cast("Any", None))
        except ServiceError:
            pass

        assert counted.steps < STEPS_MAX


async def _answer(request: Any, _context: Any) -> Message:
    return cast("Message", request)


def test_the_hostile_requests_are_there() -> None:
    places = {
        name: sum(len(list(_instances(kind, spoil))) for kind in REQUEST_TYPES)
        for name, spoil in (HEAVY | LONG).items()
    }

    assert min(places.values()) >= 3
    assert places["a long text"] > len(REQUEST_TYPES)


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize(
    "value",
    [{"a": [0] * 30_000}, {"a": [[]] * 30_000}, {"a": [[0] * 30_000]}, {"a": [[[0] * 300] * 100]}],
    ids=["flat", "lists", "inner", "tree"],
)
def test_counting_stops_at_what_is_allowed(value: dict[str, Any], size: int) -> None:
    sent = ParseDict({f"{number}": value for number in range(size)}, Struct())

    with _Counted() as counted, pytest.raises(ServiceError, match="must hold at most 2000 values"):
        refuse_large("metadata", sent)

    assert counted.steps < 5 * OBJECT_VALUES_MAX


@pytest.mark.parametrize(
    "value",
    [
        {"a": {"b": {"c": {"d": {"e": {}}}}}},
        {"a": [[[[[]]]]]},
        {"a": {"b": [{"c": {"d": {"e": 1}}}]}},
        _deep(30),
    ],
)
def test_an_object_of_more_than_5_levels_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ServiceError, match=r"^Field metadata must be at most 5 levels deep\.$"):
        refuse_large("metadata", ParseDict(value, Struct()))


@pytest.mark.parametrize(
    "value",
    [
        {},
        _deep(5),
        {"a": [[[["deep"]]]]},
        {"a": [0] * (OBJECT_VALUES_MAX - 1)},
        {f"{number}": 1.5 for number in range(OBJECT_VALUES_MAX)},
        {"a": "x" * 16_376},
    ],
)
def test_an_object_within_the_limits_passes(value: dict[str, Any]) -> None:
    sent = ParseDict(value, Struct())

    refuse_large("metadata", sent)

    assert sent.ByteSize() <= OBJECT_BYTES_MAX


async def test_a_request_that_was_not_read_is_refused_in_words() -> None:
    refused = await _refused(bounded("/a.B/C", _reached), Unreadable("Too large."))

    assert (refused.reason, refused.message) == (Reason.INVALID_FIELD, "Too large.")
