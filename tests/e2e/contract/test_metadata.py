"""Metadata in everything a customer is shown of a job: one text, in polls, lists, streams and webhooks of both contracts."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.contract.test_nextapi import JOBS
from tests.e2e.customer import VIDEOS, Customer, open_customer
from tests.e2e.local_stack import Stack
from tests.e2e.receiver import Receiver
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENT = (
    '{"zoom": 1.0, "b": {"y": -0.0, "x": [3, {"q": 1e-7, "p": 0.1}], "w": 9007199254740991}, "aa": "text", '
    '"a": 100000000000000, "10": 0.30000000000000004, "9": null, "Z": -2.5e-10, "c": false}'
)
SHOWN = (
    '{"10":0.30000000000000004,"9":null,"Z":-2.5e-10,"aa":"text","a":100000000000000,'
    '"b":{"w":9007199254740991,"x":[3,{"p":0.1,"q":1e-07}],"y":-0},"c":false,"zoom":1}'
)


@dataclass(frozen=True, kw_only=True)
class Told:
    """Everything that a customer was told of a job, as it came."""

    customer: Customer
    path: str
    """Of a poll."""
    webhooks: list[bytes]


def metadata_in(body: bytes) -> list[str]:
    """Every metadata of a body, as it stands there."""
    parts = body.decode().split('"metadata":')[1:]
    return [part[: json.JSONDecoder().raw_decode(part)[1]] for part in parts]


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["seedancee2", "nextapi"])
async def told(request: pytest.FixtureRequest, stack: Stack, receiver: Receiver) -> AsyncIterator[Told]:
    contract: str = request.param
    account = stack.create_account(f"metadata-{contract}", credits_each="1000", contract=contract)
    hook = receiver.hook(f"metadata-{contract}")
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        path, job_id = await _create(customer, contract, hook)
        await customer.send("GET", f"{path}/{job_id}?wait=15")
        last = 1 if contract == "seedancee2" else 2
        received = await receiver.several(f"metadata-{contract}", last, seconds=PATIENCE_SECONDS)
        yield Told(customer=customer, path=f"{path}/{job_id}", webhooks=[each.body for each in received])


async def _create(customer: Customer, contract: str, hook: str) -> tuple[str, str]:
    """Creates a job that fails. Returns the path of all jobs, and its id."""
    prompt = '"prompt": "[simulate: fail]", "resolution": "480p"'
    if contract == "nextapi":
        raw = f'{{"model": "seedance-2.0-mini", {prompt}, "webhook_url": "{hook}", "metadata": {SENT}}}'
        answer = await customer.send("POST", JOBS, raw=raw.encode())
        return JOBS, answer.json["id"]
    raw = f'{{"model": "mini", "input": {{{prompt}}}, "callback_url": "{hook}", "metadata": {SENT}}}'
    answer = await customer.send("POST", VIDEOS, raw=raw.encode())
    return VIDEOS, answer.json["data"]["id"]


async def test_a_poll_a_list_and_a_stream_show_the_same_text(told: Told) -> None:
    collection = told.path.rpartition("/")[0]
    for path, count in ((told.path, 1), (collection, 1), (f"{told.path}/events", 2)):
        answer = await told.customer.send("GET", path)

        assert metadata_in(answer.body) == [SHOWN] * count, path


async def test_so_do_webhooks(told: Told) -> None:
    assert [metadata_in(body) for body in told.webhooks] == [[SHOWN]] * len(told.webhooks)


async def test_values_are_those_that_were_sent(told: Told) -> None:
    polled: Any = (await told.customer.send("GET", told.path)).json

    assert polled.get("data", polled)["metadata"] == json.loads(SENT)


@pytest.mark.parametrize(
    "number", ["9007199254740993", "-9007199254740992", "1e21", "123456789012345678901234567890"]
)
async def test_a_whole_number_that_would_come_back_as_another_is_refused_by_its_key(
    told: Told, number: str
) -> None:
    contract = JOBS if told.path.startswith(f"{JOBS}/") else VIDEOS
    prompt = '"prompt": "A cat"'
    content = prompt if contract == JOBS else f'"input": {{{prompt}}}'
    model = "seedance-2.0-mini" if contract == JOBS else "mini"
    raw = f'{{"model": "{model}", {content}, "metadata": {{"order": {{"id": {number}}}}}}}'

    answer = await told.customer.send("POST", contract, raw=raw.encode())

    assert answer.status == 400
    message = answer.json["error"]["message"]
    assert "metadata.order.id" in message
    assert "text" in message
