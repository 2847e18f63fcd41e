"""How often a key may call, as customers are told: on every answer, over all services."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.bench.processes import open_edge, start_api
from tests.e2e.customer import VIDEOS, Customer, open_customer
from tests.e2e.edge.client import Answer, assert_clean
from tests.e2e.local_stack import Account, Stack
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = ("/v1/balance", "/v1/models", "/v1/webhook_endpoints")
"""Each is another service's."""
JOBS = "/v1/video/generations"


def _limits(answer: Answer) -> tuple[int, int, int]:
    limit, remaining, reset = (
        int(answer.headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset")
    )
    assert 0 < reset <= 61
    return limit, remaining, reset


def _account(stack: Stack, *options: str) -> Account:
    return Account(**stack.answer("account", "create", "limited", "--credits", "100", *options))


def _assert_limited(answer: Answer, error: dict[str, Any]) -> None:
    _, remaining, reset = _limits(answer)
    message = answer.json["error"]["message"]
    assert (answer.status, remaining) == (429, 0)
    assert answer.json == {"error": {**error, "message": message}}
    assert int(answer.headers["retry-after"]) == reset
    assert f"{reset} seconds" in message
    assert_clean(answer)


async def test_what_remains_is_told_with_every_answer_until_a_refusal_says_when_to_come_back(
    stack: Stack,
) -> None:
    account = _account(stack, "--calls-per-minute", "3")
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        found = await customer.send("GET", VIDEOS)
        missing = await customer.send("GET", f"{VIDEOS}/vid_1")
        invalid = await customer.send("POST", VIDEOS, {"model": "mini"})
        refused = await customer.send("POST", VIDEOS, {"model": "mini"})

    assert [answer.status for answer in (found, missing, invalid)] == [200, 404, 400]
    assert [_limits(answer)[:2] for answer in (found, missing, invalid)] == [(3, 2), (3, 1), (3, 0)]
    _assert_limited(refused, {"code": "rate_limit_exceeded", "type": "rate_limit_error"})


async def test_all_services_together_let_through_as_many_calls_as_the_key_may_make(stack: Stack) -> None:
    account = _account(stack, "--calls-per-minute", "5")
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        answers = await asyncio.gather(*(customer.send("GET", page) for page in PAGES * 5))

    assert sum(answer.status == 200 for answer in answers) == 5
    assert {answer.status for answer in answers} == {200, 429}
    assert {_limits(answer)[0] for answer in answers} == {5}


async def test_two_jobs_processes_behind_two_edges_let_through_no_more_than_one(stack: Stack) -> None:
    account = _account(stack, "--calls-per-minute", "6")
    status = stack.status()
    async with AsyncExitStack() as opened:
        enter = opened.enter_async_context
        database = status["database"]["jobs"].rpartition("/")[2]
        second_api, _ = await start_api(opened, stack, database=database)
        second_edge = f"http://{await enter(open_edge(status, second_api))}"
        customers = [
            await enter(open_customer(edge, account.keys["live"])) for edge in (stack.edge, second_edge)
        ]

        answers = await asyncio.gather(*(customer.send("GET", VIDEOS) for customer in customers * 12))

    statuses = [answer.status for answer in answers]
    assert statuses.count(200) == 6
    assert set(statuses) == {200, 429}
    for answer in answers:
        assert _limits(answer)[0] == 6


async def test_environments_are_limited_apart(stack: Stack) -> None:
    account = _account(stack, "--calls-per-minute", "1")
    statuses = []
    for environment in ("live", "test"):
        async with open_customer(stack.edge, account.keys[environment]) as customer:
            statuses.append([(await customer.send("GET", "/v1/balance")).status for _ in range(2)])

    assert statuses == [[200, 429], [200, 429]]


async def test_a_key_has_the_limit_of_its_kind_and_nextapi_its_own_envelope(stack: Stack) -> None:
    account = _account(stack, "--contract", "nextapi")
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        business = await customer.send("GET", JOBS)
    keys = stack.answer("key", "list", account.account_id)
    [test_key] = [key["key_id"] for key in keys if key["environment"] == "test"]
    stack.answer("key", "rules", test_key, "--kind", "admin", "--reason", "operates")
    async with open_customer(stack.edge, account.keys["test"]) as customer:
        admin = await customer.send("GET", JOBS)
        stack.answer("key", "rules", test_key, "--calls-per-minute", "1", "--reason", "too often")
        refused = await _until_refused(customer)

    assert _limits(business)[:2] == (600, 599)
    assert _limits(admin)[:2] == (300, 299)
    _assert_limited(refused, {"code": "rate_limit_exceeded"})


async def _until_refused(customer: Customer) -> Answer:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (answer := await customer.send("GET", JOBS)).status == 200:  # noqa: ASYNC110  no bell rings
            await asyncio.sleep(0.5)
    return answer


async def test_who_has_no_key_is_told_no_limit(stack: Stack) -> None:
    async with open_customer(stack.edge, "nonsense") as nobody:
        answer = await nobody.send("GET", "/v1/balance")

    assert answer.status == 401
    assert "x-ratelimit-limit" not in answer.headers
