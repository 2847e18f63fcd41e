"""What form builders and templates send for nothing: empty texts in bodies, queries and headers, through the edge."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.contract.test_nextapi import JOBS
from tests.e2e.customer import SMALL, VIDEOS, Customer, data_of, open_customer
from tests.e2e.edge.client import assert_refused
from tests.e2e.local_stack import Account, Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTHING = {"video_url": "", "start_image_url": "", "end_image_url": "", "resolution": "", "aspect_ratio": ""}
PROMPT = "A paper boat [simulate: overload 9999]"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def customer(stack: Stack, account: Account) -> AsyncIterator[Customer]:
    async with open_customer(stack.edge, account.keys["test"]) as opened:
        yield opened


def body(**more: Any) -> dict[str, Any]:
    return {"model": "mini", "input": {"prompt": PROMPT, "duration": 4, **more}}


async def test_a_creation_with_empty_optional_texts_is_the_one_without_them(
    customer: Customer, account: Account
) -> None:
    headers = {"X-API-Key": account.keys["test"], "Idempotency-Key": "empty texts"}

    first = await customer.send("POST", VIDEOS, {**body(**NOTHING), "callback_url": ""}, headers=headers)
    again = await customer.send("POST", VIDEOS, body(), headers=headers)

    assert data_of(first)["credits_reserved"] == 40
    assert (again.body, again.headers["idempotent-replayed"]) == (first.body, "true")


async def test_empty_query_parameters_are_absent(customer: Customer) -> None:
    plain = await customer.send("GET", VIDEOS)

    for query in ("?after=", "?status=", "?after=&status="):
        answer = await customer.send("GET", VIDEOS + query)
        assert (answer.status, answer.json) == (200, plain.json), query
    for path in (
        "/v1/usage?start=&end=",
        "/v1/webhook_deliveries?endpoint_id=&job_id=&status=&start=&end=&after=",
    ):
        assert (await customer.send("GET", path)).status == 200, path


async def test_an_empty_address_in_a_list_is_refused_by_its_index(customer: Customer) -> None:
    answer = await customer.send("POST", VIDEOS, body(image_urls=["https://example.com/a.png", ""]))

    assert_refused(answer, 400, "Field input.image_urls[1] must not be empty.")


async def test_a_required_text_that_is_empty_is_refused(customer: Customer) -> None:
    answer = await customer.send("POST", VIDEOS, {**body(), "model": ""})

    assert_refused(answer, 400, "Field model is required and must not be empty.")


async def test_an_unknown_directive_is_refused_and_the_known_ones_are_listed(customer: Customer) -> None:
    for path in (VIDEOS, "/v1/videos/estimates"):
        answer = await customer.send("POST", path, body(prompt="[simulate: nonsense]"))

        assert answer.status == 400
        assert "bad image, moderated prompt" in answer.json["error"]["message"]


async def test_a_prompt_that_shows_nothing_is_refused(customer: Customer) -> None:
    answer = await customer.send("POST", VIDEOS, body(prompt="\u200b\u3164\ufe0f\u2800 "))

    assert_refused(answer, 400, "Field input.prompt must not be blank.")


async def test_an_empty_authorization_leaves_the_key_to_the_other_header(
    stack: Stack, account: Account
) -> None:
    async with open_customer(stack.edge, account.keys["test"]) as customer:
        other = {"Authorization": "", "X-API-Key": account.keys["test"]}
        assert (await customer.send("GET", VIDEOS, headers=other)).status == 200


async def test_the_other_contract_takes_them_alike(stack: Stack) -> None:
    account = stack.create_account("empty", credits_each="10", contract="nextapi")
    async with open_customer(stack.edge, account.keys["test"]) as customer:
        sent = {
            "model": "seedance-2.0-mini",
            "prompt": PROMPT,
            "duration_seconds": 4,
            "webhook_url": "",
            **NOTHING,
        }
        answer = await customer.send("POST", JOBS, sent)
        plain = await customer.send(
            "POST", JOBS, {**sent, "resolution": SMALL["resolution"], "moderation_profile": ""}
        )

    assert (answer.status, plain.status) == (200, 200)
    assert answer.json["estimated_credits"] == 0.14
