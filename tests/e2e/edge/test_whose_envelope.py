"""A refusal of the edge itself has the envelope of the contract a path belongs to, and elsewhere that of the key's form."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import grpc
import pytest
import pytest_asyncio

from services.common.auth.key_forms import CHECKSUM_LENGTH, KEY_PREFIXES, RANDOM_LENGTH
from services.edge.descriptor import Endpoint, read_descriptor
from services.edge.envelopes import NEXTAPI_PATH, SEEDANCEE2_PATHS
from services.edge.settings import DESCRIPTOR
from services.jobs.rpc.access import PUBLIC_ACCESS
from tests.e2e.edge.client import Answer, exchange, send
from tests.e2e.edge.upstream import Context, Upstream
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOTH = frozenset({"seedancee2", "nextapi"})
ENDPOINTS = [
    each for each in read_descriptor(DESCRIPTOR).endpoints if not each.template.startswith("/callbacks/")
]
IN_HEADERS = (
    "Authorization: Bearer {key}",
    "authorization: bearer   {key}",
    "AUTHORIZATION: BEARER {key} ",
    "x-api-key: {key}",
    "X-API-Key:   {key}",
)


def key_of(prefix: str) -> str:
    return prefix + "a" * (RANDOM_LENGTH + CHECKSUM_LENGTH)


@dataclass(frozen=True)
class Sender:
    name: str
    contract: str
    headers: tuple[str, ...]


def senders() -> Iterator[Sender]:
    for (contract, environment), prefix in KEY_PREFIXES.items():
        for form in IN_HEADERS:
            yield Sender(f"{environment} {form}", contract, (form.format(key=key_of(prefix)),))
    nextapi, other = KEY_PREFIXES["nextapi", "live"], KEY_PREFIXES["seedancee2", "live"]
    yield Sender("nobody", "seedancee2", ())
    yield Sender("no key of ours", "seedancee2", ("authorization: Bearer nxa_",))
    yield Sender("another scheme", "seedancee2", (f"authorization: Basic {nextapi}",))
    yield Sender("a key inside another", "seedancee2", (f"authorization: Bearer {other}{nextapi}",))
    # As services read it: what `authorization` holds wins, whatever that is.
    yield Sender("two keys", "nextapi", (f"authorization: Bearer {nextapi}", f"x-api-key: {other}"))
    yield Sender(
        "two keys, turned", "seedancee2", (f"authorization: Bearer {other}", f"x-api-key: {nextapi}")
    )
    yield Sender("no Bearer", "seedancee2", ("authorization: Basic a", f"x-api-key: {nextapi}"))


SENDERS = list(senders())
ONE_OF_EACH = [sender for sender in SENDERS if sender.name in ("nobody", f"live {IN_HEADERS[0]}")]


def path_of(endpoint: Endpoint) -> str:
    return endpoint.template.replace("{id}", "a")


def contracts_of(endpoint: Endpoint) -> frozenset[str]:
    return PUBLIC_ACCESS.get(endpoint.method.split("/")[1], BOTH)


def expected_for(endpoint: Endpoint, sender: Sender) -> str:
    contracts = contracts_of(endpoint)
    return sender.contract if sender.contract in contracts else min(contracts)


def envelope_of(answer: Answer) -> str:
    assert set(answer.json) == {"error"}
    return "seedancee2" if set(answer.json["error"]) == {"code", "message", "type"} else "nextapi"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.verb} {each.template}")
@pytest.mark.parametrize("sender", ONE_OF_EACH, ids=lambda each: f"{each.contract} {each.name}")
async def test_whatever_the_edge_refuses_there_is_in_the_envelope_of_who_is_let_in(
    edge: RunningEdge, upstream: Upstream, endpoint: Endpoint, sender: Sender
) -> None:
    verb, path, headers = endpoint.verb, path_of(endpoint), sender.headers
    large = " " * 300 * 1024
    answers = {
        "an unknown query": (400, await send(edge, verb, f"{path}?strange=1", "", headers)),
        "another method": (404, await send(edge, "PUT", path, "", headers)),
        "a path below": (404, await send(edge, verb, f"{path}/x/y", "", headers)),
        "HTTP/1.0": (426, await send_old(edge, verb, path, headers)),
    }
    if verb in ("POST", "PATCH"):
        answers["a large body"] = (413, await send(edge, verb, path, large, headers))
    elif verb == "GET":
        answers["a body"] = (400, await send(edge, verb, path, "{}", headers))

    wanted = expected_for(endpoint, sender)
    seen = {name: (answer.status, envelope_of(answer)) for name, (_, answer) in answers.items()}
    assert seen == {name: (status, wanted) for name, (status, _) in answers.items()}
    assert upstream.calls == []


async def send_old(edge: RunningEdge, verb: str, path: str, headers: tuple[str, ...]) -> Answer:
    lines = [f"{verb} {path} HTTP/1.0", *headers, "", ""]
    return await exchange(edge, "\r\n".join(lines).encode())


@pytest.mark.parametrize("sender", SENDERS, ids=lambda each: f"{each.contract} {each.name}")
@pytest.mark.parametrize("path", ["/v1/nothing", "/", "/v1/balance/x", "/v1/webhook_endpoints/a/b"])
async def test_where_nothing_is_the_key_tells_its_contract_by_its_form(
    edge: RunningEdge, sender: Sender, path: str
) -> None:
    answer = await send(edge, "GET", path, headers=sender.headers)

    assert (answer.status, envelope_of(answer)) == (404, sender.contract)


@pytest.mark.parametrize("sender", SENDERS, ids=lambda each: f"{each.contract} {each.name}")
async def test_a_refusal_of_grpc_itself_is_in_it_too(
    edge: RunningEdge, upstream: Upstream, sender: Sender
) -> None:
    async def too_busy(request: object, context: Context) -> None:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")

    upstream.behaviors["GetBalance"] = too_busy

    answer = await send(edge, "GET", "/v1/balance", headers=sender.headers)

    assert (answer.status, envelope_of(answer)) == (503, sender.contract)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(services: Upstream) -> AsyncIterator[RunningEdge]:
    """One that lets an address send one request and few bytes, and whose webhooks service is away."""
    async with running_edge(
        jobs_targets=services.target,
        billing_targets=services.target,
        webhooks_targets="127.0.0.1:9",
        calls_per_second_per_address=1,
    ) as running:
        yield running


@pytest.mark.parametrize("sender", SENDERS, ids=lambda each: f"{each.contract} {each.name}")
async def test_a_flood_and_an_outage_are_told_in_it(
    strict: RunningEdge, upstream: Upstream, sender: Sender
) -> None:
    address = f"127.0.1.{SENDERS.index(sender) + 1}"

    answers = [
        await send(strict, "GET", "/v1/webhook_endpoints", headers=sender.headers, sender=address)
        for _ in range(10)
    ]

    assert {answer.status for answer in answers} == {429, 503}
    assert {envelope_of(answer) for answer in answers} == {sender.contract}


async def test_every_path_of_one_contract_is_known_to_be() -> None:
    known = {"nextapi": {NEXTAPI_PATH}, "seedancee2": set(SEEDANCEE2_PATHS)}
    for endpoint in ENDPOINTS:
        owners = {
            contract
            for contract, roots in known.items()
            if any(f"{path_of(endpoint)}/".startswith(f"{root}/") for root in roots)
        }
        contracts = contracts_of(endpoint)
        assert owners == (set() if contracts == BOTH else set(contracts)), endpoint.template
