"""No public byte names a provider: no header, body, address, event or webhook that comes through the edge."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from services.upstream.kind import Kind
from services.upstream.registry import KINDS
from tests.e2e.contract.conftest import History, path_of
from tests.e2e.customer import VIDEOS, Customer, open_customer
from tests.e2e.local_stack import Stack
from tests.patience import PATIENCE_SECONDS
from tests.unit.jobs.samples import CATALOGUE

pytestmark = pytest.mark.asyncio(loop_scope="session")

OWN_NAMES = {"reelgate"}
"""Another Reelgate is a provider too, but its name is our own."""
BAD_REQUESTS = (
    ("POST", VIDEOS, {"model": "pro", "input": {"prompt": "x", "duration": 99}}),
    ("POST", VIDEOS, {"model": "none", "input": {"prompt": "x"}}),
    ("POST", VIDEOS, {"model": "mini", "input": {"prompt": "x", "image_urls": ["data:image/png;base64,x"]}}),
    ("GET", f"{VIDEOS}/vid_01m80z8w1m427tkwzz8ap79gkg", None),
    ("GET", f"{VIDEOS}?limit=1000", None),
    ("POST", "/callbacks/a.b", {"id": "x"}),
    ("GET", "/v1/routes", None),
)


@dataclass
class Heard:
    """Everything that a customer of live gets to see."""

    parts: list[str] = field(default_factory=list)

    async def say(self, customer: Customer, method: str, path: str, body: object = None) -> None:
        answer = await customer.send(method, path, body)
        self.note(answer.headers, answer.body)

    def note(self, headers: object, body: bytes) -> None:
        self.parts += [repr(headers), body.decode("utf-8", "replace")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def heard(stack: Stack, history: History) -> AsyncIterator[Heard]:
    found = Heard()
    for poll in history.polls.values():
        found.note(poll.headers, poll.body)
    for webhooks in history.receiver.webhooks.values():
        for each in webhooks:
            found.note(each.headers, each.body)
    async with open_customer(stack.edge, history.account.keys["live"]) as customer:
        await ask_everything(found, customer, history)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS)) as session:
        await fetch_media(found, session, history)
        async with session.get(
            f"{stack.edge}{path_of(history.video('full'))}/events",
            headers={"Authorization": f"Bearer {history.account.keys['live']}"},
        ) as stream:
            found.note(dict(stream.headers), await stream.read())
    yield found


async def ask_everything(found: Heard, customer: Customer, history: History) -> None:
    for path in ("/v1/models", "/v1/models/pro", "/v1/balance", "/v1/usage", f"{VIDEOS}?limit=100"):
        await found.say(customer, "GET", path)
    for path in ("/v1/webhook_endpoints", "/v1/webhook_deliveries?limit=100", "/v1/uploads/upl_x"):
        await found.say(customer, "GET", path)
    listed = await customer.send("GET", "/v1/webhook_deliveries?limit=1")
    await found.say(customer, "GET", f"/v1/webhook_deliveries/{listed.json['data'][0]['id']}")
    estimate = {"model": "pro", "input": {"prompt": "x"}}
    await found.say(customer, "POST", "/v1/videos/estimates", estimate)
    await found.say(customer, "POST", f"{path_of(history.video('processing'))}/cancel")
    await found.say(customer, "POST", f"{path_of(history.video('full'))}/cancel")
    for method, path, body in BAD_REQUESTS:
        await found.say(customer, method, path, body)


async def fetch_media(found: Heard, session: aiohttp.ClientSession, history: History) -> None:
    for url in history.video("full")["output"].values():
        async with session.head(url) as answer:
            found.note(dict(answer.headers), url.encode())


def names_of(kind: Kind) -> Iterator[str]:
    """Yields what a provider may be recognised by: its name, however it is written, where it is, and its own headers."""
    yield from {kind.name, kind.name.replace("_", "-"), kind.name.replace("_", ""), f"{kind.name}provider"}
    if kind.base_url is not None:
        host = urlsplit(kind.base_url).hostname or ""
        yield from {host, ".".join(host.split(".")[-2:])}
    yield from (name for name in kind.callback_headers if kind.name in name)


def is_named(name: str, text: str) -> bool:
    """Returns whether a text has a name as a word of its own: "ark" is in "watermark" too."""
    return re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", text) is not None


@pytest.mark.parametrize("kind", sorted(set(KINDS) - OWN_NAMES))
async def test_no_public_byte_has_a_name_of_a_provider(heard: Heard, kind: str) -> None:
    text = "\n".join(heard.parts).lower()

    assert {name for name in names_of(KINDS[kind]) if is_named(name, text)} == set()


async def test_no_public_byte_has_a_name_of_the_catalogue(heard: Heard) -> None:
    text = "\n".join(heard.parts).lower()
    routes, credentials = CATALOGUE.routes, CATALOGUE.credentials
    names = {
        *routes,
        *credentials,
        *(route.upstream_model for route in routes.values()),
        "simulator",
        "upstream",
        "envoy",
    }

    assert {name for name in names if is_named(name, text)} == set()


async def test_much_was_heard_and_names_are_recognised(heard: Heard) -> None:
    text = "\n".join(heard.parts).lower()

    assert len(heard.parts) > 60
    assert "content_policy_violation" in text
    assert is_named("watermark", text)
    assert not is_named("ark", "watermark")
    assert is_named("ark", "x-ark-id: 1")
    assert is_named("fal.run", "https://queue.fal.run/x")
