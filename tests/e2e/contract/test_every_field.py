"""Every field of every request that takes a body, sent in every wrong way there is: the answer is exact or names the field.

What is sent is made from the descriptors, so that a field which is added is tried too.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from importlib import import_module
from typing import Any

import pytest
import pytest_asyncio
from google.api import annotations_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from services.common.clock import utc_now
from services.edge.descriptor import SERVICES
from tests.e2e.customer import Customer, open_customer
from tests.e2e.edge.client import Answer
from tests.e2e.local_stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT_ONCE = 8
CREDITS = 0.1
"""Too few for any task: what is taken as it stands is refused with 402, and holds nothing."""
TAKEN = frozenset({200, 402, 404, 409})
"""Of a body that is right, whatever becomes of it: no credits, no such endpoint or task, too many endpoints."""
NOWHERE = "unknown_01jz8b7q4x8k2p9w3m5c6n7r8s"
SAMPLES = {"text": "x", "whole": 5, "boolean": True, "texts": ["x"], "object": {}}
YESTERDAY = (utc_now() - timedelta(days=1)).isoformat()
NEEDED = {
    "prompt": "waves",
    "url": "https://example.com/hook",
    "start": YESTERDAY,
    "content_type": "image/png",
}
EMPTY = {"text": ("",), "texts": ([],), "object": ({},)}
OTHERS: dict[str, tuple[Any, ...]] = {
    "text": (5, 0.5, True, ["x"], {"a": 1}),
    "whole": ("5", "", 0.5, True, [5], {"a": 1}, 2**31, 10**30),
    "boolean": ("true", "", 1, 0, [True], {"a": 1}),
    "texts": ("x", "", 5, True, {"a": 1}, [5], ["x", True], [["x"]], [{"url": "x"}], [None], ["x", None]),
    "object": ("x", "", 5, True, [{}], []),
}
"""Values of every type that a field is not."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A field that a body may hold."""

    path: str
    kind: str
    """A name of SAMPLES."""

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def parent(self) -> str:
        return self.path.rpartition(".")[0]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A method with a body."""

    method: str
    verb: str
    path: str
    places: tuple[Place, ...]
    base: dict[str, Any]
    """A body that is right."""

    @property
    def contract(self) -> str:
        return "nextapi" if ".nextapi." in self.method else "seedancee2"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A body, and what it must be answered with."""

    title: str
    body: str
    message: str | None
    """How the refusal begins. None: the body is right, or the refusal names the field."""
    field: str = ""


def kind_of(field: FieldDescriptor) -> str:
    kinds = {
        field.TYPE_STRING: "text",
        field.TYPE_INT32: "whole",
        field.TYPE_BOOL: "boolean",
        field.TYPE_MESSAGE: "object",
    }
    return f"{kinds[field.type]}s" if field.is_repeated else kinds[field.type]


def places_of(message: Descriptor, in_path: set[str], prefix: str = "") -> Iterator[Place]:
    for field in message.fields:
        if prefix or field.name not in in_path:
            yield Place(path=prefix + field.name, kind=kind_of(field))
            inner = field.message_type
            if inner is not None and inner.full_name.startswith("reelgate."):
                yield from places_of(inner, set(), f"{prefix}{field.name}.")


def base_of(message: Descriptor, in_path: set[str], *, is_nextapi: bool) -> dict[str, Any]:
    """Returns all that must be given: what cannot be absent, and the objects around it."""
    found: dict[str, Any] = {}
    for field in message.fields:
        inner = field.message_type
        if inner is not None and inner.full_name.startswith("reelgate."):
            found[field.name] = base_of(inner, set(), is_nextapi=is_nextapi)
        elif not field.has_presence and not field.is_repeated and field.name not in in_path:
            model = "seedance-2.0-mini" if is_nextapi else "mini"
            found[field.name] = model if field.name == "model" else NEEDED[field.name]
    return found


def endpoints() -> Iterator[Endpoint]:
    pool = descriptor_pool.Default()
    for each in SERVICES:
        import_module(f"services.{each}.__main__")  # which loads all its protos
    for service in (name for names in SERVICES.values() for name in names):
        for method in pool.FindServiceByName(service).methods:
            rule: Any = method.GetOptions().Extensions[annotations_pb2.http]
            verb = rule.WhichOneof("pattern")
            template = getattr(rule, verb)
            if rule.body != "*":
                continue
            in_path = set(re.findall(r"\{(\w+)\}", template))
            is_nextapi = ".nextapi." in service
            yield Endpoint(
                method=f"{service}.{method.name}",
                verb=verb.upper(),
                path=re.sub(r"\{\w+\}", NOWHERE, template),
                places=tuple(places_of(method.input_type, in_path)),
                base=base_of(method.input_type, in_path, is_nextapi=is_nextapi),
            )


ENDPOINTS = {each.method.rpartition(".")[2]: each for each in endpoints()}


def written(endpoint: Endpoint, parent: str, *members: tuple[str, Any], without: str = "") -> str:
    """Returns the right body with these members besides in the object at `parent`, where names may be given twice."""
    body: dict[str, Any] = json.loads(json.dumps(endpoint.base))
    around = body
    for name in filter(None, parent.split(".")):
        around = around.setdefault(name, {})
    around.pop(without, None)
    around["\x01"] = 0
    given = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members)
    return json.dumps(body).replace('"\\u0001": 0', given)


def wrongly(endpoint: Endpoint, place: Place) -> Iterator[Case]:
    """Every way in which one field can be wrong."""

    def case(title: str, message: str | None, *members: tuple[str, Any], parent: str = place.parent) -> Case:
        body = written(endpoint, parent, *members, without=place.name)
        return Case(title=f"{place.path} {title}", body=body, message=message, field=place.path)

    sample, name = SAMPLES[place.kind], place.name
    is_needed = name in endpoint.base or name in endpoint.base.get(place.parent, {})
    yield case("with more", f"Field {place.path}_q is not known. Did you mean ", (f"{name}_q", sample))
    camel = re.sub(r"_(\w)", lambda found: found[1].upper(), name)
    for slip in {name.upper(), name.capitalize(), f"{name} ", name.replace("_", "-"), camel} - {name}:
        shown = f"{place.parent}.{slip}" if place.parent else slip
        shown = json.dumps(shown) if " " in slip else shown
        message = f"Field {shown} is not known. Did you mean {place.path}?"
        yield case(f"as {slip!r}", message, (slip, sample))
    twice = f"Field {place.path} is given more than once."
    yield case("twice", twice, (name, sample), (name, sample))
    yield case("null and given", twice, (name, None), (name, sample))
    for nothing in (None, *EMPTY.get(place.kind, ())):
        yield case(f"as {json.dumps(nothing)}", f"Field {place.path}" if is_needed else None, (name, nothing))
    for other in OTHERS[place.kind]:
        yield case(f"as {json.dumps(other)}", f"Field {place.path}", (name, other))


def misplaced(endpoint: Endpoint) -> Iterator[Case]:
    """Every field in every object where it does not belong, and in one that there is not."""
    parents = {place.parent for place in endpoint.places} | {""}
    paths = {place.path for place in endpoint.places}
    for place in endpoint.places:
        for parent in parents - {place.parent}:
            path = f"{parent}.{place.name}" if parent else place.name
            if path not in paths:
                body = written(endpoint, parent, (place.name, SAMPLES[place.kind]))
                message = f"Field {path} is not known. Did you mean {place.path}?"
                yield Case(title=f"{place.path} at {path}", body=body, message=message)
        body = written(endpoint, "", ("wrapper", {place.name: SAMPLES[place.kind]}))
        yield Case(title=f"{place.path} in a wrapper", body=body, message="Field wrapper is not known.")
    if NOWHERE in endpoint.path:
        message = "Field id stands in the path of the request. Leave it out of the body."
        yield Case(title="id in the body", body=written(endpoint, "", ("id", NOWHERE)), message=message)


def cases(endpoint: Endpoint) -> Iterator[Case]:
    for place in endpoint.places:
        yield from wrongly(endpoint, place)
    yield from misplaced(endpoint)
    yield Case(title="nothing known", body=written(endpoint, "", ("n", 1)), message="Field n is not known. ")


def fault_in(answer: Answer, case: Case) -> str | None:
    """Returns what is wrong with an answer."""
    said = answer.json.get("error", {}).get("message", "")
    if case.message is not None or answer.status == 400:
        is_right = answer.status == 400 and said.startswith(case.message or f"Field {case.field}")
    else:
        is_right = answer.status in TAKEN
    return None if is_right else f"{case.title}: {answer.status} {said!r}, not {case.message!r}: {case.body}"


@dataclass(frozen=True, kw_only=True)
class Customers:
    by_contract: dict[str, Customer]

    async def faults(self, endpoint: Endpoint) -> list[str]:
        """Sends all cases of an endpoint. Returns what is wrong with the answers."""
        customer, turns = self.by_contract[endpoint.contract], asyncio.Semaphore(AT_ONCE)

        async def tried(case: Case) -> str | None:
            async with turns:
                while True:
                    answer = await customer.send(
                        endpoint.verb, endpoint.path, raw=case.body.encode(), headers=None
                    )
                    if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                        return fault_in(answer, case)
                    # We send more at once than a key may create.
                    await asyncio.sleep(int(answer.headers["retry-after"]))

        found = await asyncio.gather(*map(tried, cases(endpoint)))
        return [fault for fault in found if fault is not None]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def customers(stack: Stack) -> AsyncIterator[Customers]:
    """One customer of each contract, who can afford nothing."""
    keys = {
        contract: stack.create_account(
            f"every field {contract}", credits_each=str(CREDITS), contract=contract
        ).keys
        for contract in ("seedancee2", "nextapi")
    }
    async with (
        open_customer(stack.edge, keys["seedancee2"]["live"], seconds=120) as first,
        open_customer(stack.edge, keys["nextapi"]["live"], seconds=120) as second,
    ):
        yield Customers(by_contract={"seedancee2": first, "nextapi": second})
        for customer in (first, second):
            assert await customer.get("/v1/balance") == {"available": CREDITS, "held": 0}


async def test_every_request_with_a_body_is_tried() -> None:
    paths = {place.path for endpoint in ENDPOINTS.values() for place in endpoint.places}

    assert {"CreateVideo", "EstimateVideo", "CancelVideo", "CreateJob", "CancelJob"} <= set(ENDPOINTS)
    assert {"CreateWebhookEndpoint", "UpdateWebhookEndpoint", "CreateWebhookRedelivery"} <= set(ENDPOINTS)
    assert {"input.image_urls", "metadata", "webhook_url", "events", "enabled", "endpoint_id"} <= paths
    assert sum(len(list(cases(endpoint))) for endpoint in ENDPOINTS.values()) > 900


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_whatever_is_wrong_with_a_field_is_answered_exactly_or_refused_by_its_path(
    customers: Customers, name: str
) -> None:
    assert await customers.faults(ENDPOINTS[name]) == []


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("body", ["", " \r\n", "null", "\ufeff{}", "\ufeff null "])
async def test_no_body_null_and_an_empty_object_are_the_same(
    customers: Customers, name: str, body: str
) -> None:
    endpoint = ENDPOINTS[name]
    customer = customers.by_contract[endpoint.contract]

    empty = await told(customer, endpoint, b"{}")

    assert await told(customer, endpoint, body.encode()) == empty


async def told(customer: Customer, endpoint: Endpoint, body: bytes) -> tuple[int, Any]:
    """Returns what is answered to a body. What it makes is ended, and each is another one: only its keys are compared."""
    answer = await customer.send(endpoint.verb, endpoint.path, raw=body)
    if answer.status != 200:
        return answer.status, answer.json
    made = answer.json["data"]
    assert (await customer.send("DELETE", f"{endpoint.path}/{made['id']}")).status == 200
    return answer.status, sorted(made)
