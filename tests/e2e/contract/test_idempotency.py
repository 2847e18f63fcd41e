"""Requests that are sent again, through the edge: what every POST of both contracts does with an idempotency key."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from tests.e2e.customer import SMALL, VIDEOS, Customer, open_customer
from tests.e2e.edge.client import Answer, assert_clean, exchange_with
from tests.e2e.local_stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOBS = "/v1/video/generations"
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "seedancee2": (VIDEOS, {"model": "mini", "input": {"prompt": "[simulate: fail]", **SMALL}}),
    "nextapi": (
        JOBS,
        {
            "model": "seedance-2.0-mini",
            "prompt": "[simulate: fail]",
            "duration_seconds": 4,
            "resolution": "480p",
        },
    ),
}
"""Where and how each contract creates."""
SIMULTANEOUS = 20


class Sender:
    """Creates jobs by one contract, with idempotency keys."""

    def __init__(self, customer: Customer, contract: str, key: str) -> None:
        self.customer = customer
        self.contract = contract
        self.key = key
        self.path, self.body = BODIES[contract]

    async def post(self, idempotency_key: str, *, path: str | None = None, **changes: Any) -> Answer:
        return await self.customer.send(
            "POST",
            path or self.path,
            {**self.body, **changes},
            headers={"Authorization": f"Bearer {self.key}", "Idempotency-Key": idempotency_key},
        )

    def refusal(self, code: str, message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
        """Returns the envelope of the contract."""
        error = {"code": code, "message": message}
        return {"error": error if self.contract == "nextapi" else {**error, "type": kind}}

    async def listed(self) -> int:
        answer = await self.customer.send("GET", f"{self.path}?limit=100")
        return len(answer.json["data"])


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=list(BODIES))
async def sender(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Sender]:
    contract: str = request.param
    account = stack.create_account(f"idempotent {contract}", credits_each="1000", contract=contract)
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        yield Sender(customer, contract, account.keys["live"])


async def test_a_creation_sent_again_is_answered_the_same_byte_for_byte(sender: Sender) -> None:
    before = await sender.listed()
    first = await sender.post("replay")
    again = await sender.post('"replay"')

    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await sender.listed() == before + 1


async def test_creations_at_once_are_one(sender: Sender) -> None:
    before = await sender.listed()

    answers = await asyncio.gather(*(sender.post("at once") for _ in range(SIMULTANEOUS)))

    assert {each.status for each in answers} == {200}
    assert len({each.body for each in answers}) == 1
    assert await sender.listed() == before + 1


async def test_a_refusal_sent_again_is_answered_the_same(sender: Sender) -> None:
    first, again = [await sender.post("refused", model="none") for _ in range(2)]

    assert first.status == 404
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotent-replayed"] == "true"


async def test_another_body_under_the_same_key_is_a_conflict(sender: Sender) -> None:
    await sender.post("other")

    refused = await sender.post("other", metadata={"other": True})

    assert refused.status == 422
    message = (
        "This Idempotency-Key was used for another request. Send the same request again, or use a new key."
    )
    assert refused.json == sender.refusal("idempotency_conflict", message)


async def test_a_request_that_runs_elsewhere_is_to_be_sent_again(stack: Stack, sender: Sender) -> None:
    key = f"elsewhere {sender.contract}"
    await sender.post(key)
    with psycopg.connect(stack.status()["database"]["jobs"]) as connection:
        connection.execute(
            "UPDATE idempotency SET is_finished = false, response = NULL,"
            " locked_until = now() + interval '1 hour' WHERE key = %s",
            (key,),
        )

    refused = await sender.post(key)

    assert refused.status == 409
    assert refused.headers["retry-after"] == "1"
    message = "A request with this Idempotency-Key is still running. Send it again in 1 s."
    assert refused.json == sender.refusal("idempotency_conflict", message)


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        (
            [b""],
            "must be 1 to 255 printable ASCII characters. It was empty. Leave it out to send without one.",
        ),
        (
            [b'""'],
            "must be 1 to 255 printable ASCII characters. It was empty. Leave it out to send without one.",
        ),
        ([b"x" * 256], "must be at most 255 characters. It had 256."),
        ([b"a\tb"], "must be printable ASCII characters only, such as a UUID."),
        (["Schlüssel".encode()], "must be printable ASCII characters only, such as a UUID."),
        (["Schlüssel".encode("latin-1")], "must be printable ASCII characters only, such as a UUID."),
        ([b"a", b"b"], "must be given once. It was given with different values."),
    ],
    ids=["empty", "empty-quoted", "long", "tab", "utf-8", "latin-1", "two"],
)
async def test_a_key_that_is_none_is_refused(
    stack: Stack, sender: Sender, lines: list[bytes], rule: str
) -> None:
    before = await sender.listed()

    refused = await _send(stack, sender, lines)

    assert refused.status == 400
    assert refused.json == sender.refusal("invalid_request", f"Header Idempotency-Key {rule}")
    assert_clean(refused)
    assert await sender.listed() == before


async def _send(stack: Stack, sender: Sender, keys: list[bytes]) -> Answer:
    body = json.dumps(sender.body).encode()
    head = [
        f"POST {sender.path} HTTP/1.1".encode(),
        b"host: edge",
        b"connection: close",
        b"authorization: Bearer " + sender.key.encode(),
        b"content-length: %d" % len(body),
        *(b"idempotency-key: " + key for key in keys),
    ]
    request = b"\r\n".join([*head, b"", b""]) + body
    return await exchange_with(stack.edge.removeprefix("http://"), request)


async def test_every_other_post_takes_a_key_too(sender: Sender) -> None:
    endpoints = "/v1/webhook_endpoints"
    wanted = {"url": "https://example.com/hook"}
    headers = {"Authorization": f"Bearer {sender.key}", "Idempotency-Key": "endpoint"}

    first, again = [await sender.customer.send("POST", endpoints, wanted, headers=headers) for _ in range(2)]
    listed = await sender.customer.get(endpoints)

    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"
    assert [each["id"] for each in listed] == [first.json["data"]["id"]]
