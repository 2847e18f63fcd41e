"""An empty text is no text: where it may be absent it is, where it may not the refusal says so. Over every field."""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

import services.jobs.wiring.process  # noqa: F401  whatever is served is known to the pool
from services.billing.wiring import ACCESS as BILLING_ACCESS
from services.common.errors import ServiceError
from services.common.rpc.blanks import without_blanks
from services.common.rpc.interceptors import OURS, Handler
from services.common.rpc.validation import validated
from services.jobs.rpc.access import PUBLIC_ACCESS
from services.webhooks.wiring import ACCESS as WEBHOOKS_ACCESS

PUBLIC = OURS.removeprefix("/")
EMPTIED_BY_A_PATCH = {"UpdateWebhookEndpoint.description"}


class Place(NamedTuple):
    """A field of a request, at any depth."""

    method: str
    request: Descriptor
    path: tuple[FieldDescriptor, ...]

    @property
    def name(self) -> str:
        return ".".join(field.name for field in self.path)


def _requests() -> Iterator[tuple[str, Descriptor]]:
    for service in sorted({*PUBLIC_ACCESS, *WEBHOOKS_ACCESS, *BILLING_ACCESS}):
        if service.startswith(PUBLIC):
            for method in descriptor_pool.Default().FindServiceByName(service).methods:
                yield f"/{service}/{method.name}", method.input_type


def _paths(message: Descriptor) -> Iterator[tuple[FieldDescriptor, ...]]:
    for field in message.fields:
        yield (field,)
        inner = field.message_type
        if inner is not None and inner.full_name.startswith(PUBLIC):
            yield from ((field, *path) for path in _paths(inner))


PLACES = [
    Place(method, request, path)
    for method, request in _requests()
    for path in _paths(request)
    if path[-1].type == FieldDescriptor.TYPE_STRING
]
OPTIONAL = [place for place in PLACES if place.path[-1].has_presence]
LISTS = [place for place in PLACES if place.path[-1].is_repeated]
REQUIRED = [place for place in PLACES if place not in OPTIONAL and place not in LISTS]


def _id(place: Place) -> str:
    return f"{place.method.split('/')[-1]}.{place.name}"


def _filled(message: Descriptor) -> Message:
    """A request in which all that is required is there."""
    request: Message = message_factory.GetMessageClass(message)()
    for field in message.fields:
        if field.type == field.TYPE_STRING and not field.is_repeated and not field.has_presence:
            setattr(request, field.name, "x")
        elif field.message_type is not None and field.message_type.full_name.startswith(PUBLIC):
            getattr(request, field.name).CopyFrom(_filled(field.message_type))
    return request


def _with(place: Place, value: object) -> Message:
    request = _filled(place.request)
    holder: Any = request
    for field in place.path[:-1]:
        holder = getattr(holder, field.name)
    if place.path[-1].is_repeated:
        getattr(holder, place.path[-1].name).extend(value)
    else:
        setattr(holder, place.path[-1].name, value)
    return request


async def _answer(request: Message, _context: Any) -> Message:
    return request


async def _received(place: Place, request: Message, inside: Any = _answer) -> Message:
    return cast("Message", await without_blanks(place.method, inside)(request, cast("Any", None)))


async def _refusal(place: Place, value: object) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await _received(place, _with(place, value), validated(place.method, cast("Handler", _answer)))
    return refused.value


def test_there_are_fields_of_each_kind() -> None:
    assert len(OPTIONAL) > 20
    assert len(LISTS) > 10
    assert len(REQUIRED) > 15


@pytest.mark.parametrize("place", OPTIONAL, ids=_id)
async def test_an_optional_text_that_is_empty_is_absent(place: Place) -> None:
    received = await _received(place, _with(place, ""))

    plain, sent = _filled(place.request), _with(place, "")
    kept = sent if _id(place) in EMPTIED_BY_A_PATCH else plain
    assert received.SerializeToString(deterministic=True) == kept.SerializeToString(deterministic=True)


@pytest.mark.parametrize("place", OPTIONAL, ids=_id)
async def test_a_text_that_is_not_empty_stays(place: Place) -> None:
    assert await _received(place, _with(place, " ")) == _with(place, " ")


@pytest.mark.parametrize("place", LISTS, ids=_id)
async def test_an_empty_item_of_a_list_is_refused_by_its_index(place: Place) -> None:
    refused = await _refusal(place, ["https://a.example/x", ""])

    assert refused.message == f"Field {place.name}[1] must not be empty."


@pytest.mark.parametrize("place", REQUIRED, ids=_id)
async def test_a_required_text_that_is_empty_is_refused_in_words_that_say_so(place: Place) -> None:
    refused = await _refusal(place, "")

    assert refused.message == f"Field {place.name} is required and must not be empty."
