"""What the edge lets one address send, whoever it is."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.edge.client import Answer, assert_clean, assert_refused, assert_refused_by_nextapi
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

FLOOD = 60
TOO_MANY = "Too many or too large requests. Slow down."


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def narrow(services: Upstream) -> AsyncIterator[RunningEdge]:
    async with running_edge(
        jobs_targets=services.target,
        billing_targets=services.target,
        calls_per_second_per_address=1,
        ready_path="/readyz",
    ) as running:
        yield running


async def _answers(edge: RunningEdge, path: str, *, count: int, address: str) -> list[Answer]:
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(edge.url, connector=connector, timeout=timeout) as client:

        async def answer() -> Answer:
            async with client.get(path) as response:
                shown = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, shown, await response.read())

        return await asyncio.gather(*(answer() for _ in range(count)))


async def test_a_flood_from_one_address_is_refused_at_the_edge(
    narrow: RunningEdge, upstream: Upstream
) -> None:
    answers = await _answers(narrow, "/v1/balance", count=FLOOD, address="127.0.0.1")

    refused = [answer for answer in answers if answer.status == 429]
    assert 0 < len(refused) < FLOOD
    for answer in refused:
        assert_refused(answer, 429, TOO_MANY, code="rate_limit_exceeded", kind="rate_limit_error")
        assert answer.headers["retry-after"] == "1"


async def test_the_refusal_has_the_envelope_of_the_paths_contract(
    narrow: RunningEdge, upstream: Upstream
) -> None:
    answers = await _answers(narrow, "/v1/video/generations/job_1", count=FLOOD, address="127.0.0.2")

    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    for answer in refused:
        assert_refused_by_nextapi(answer, 429, TOO_MANY, code="rate_limit_exceeded")


async def test_another_address_is_not_refused_for_it(narrow: RunningEdge, upstream: Upstream) -> None:
    await _answers(narrow, "/v1/balance", count=FLOOD, address="127.0.0.3")

    [answer] = await _answers(narrow, "/v1/balance", count=1, address="127.0.0.4")

    assert answer.status != 429
    assert_clean(answer)


async def test_a_probe_is_not_counted(narrow: RunningEdge) -> None:
    answers = await _answers(narrow, "/readyz", count=FLOOD, address="127.0.0.5")

    assert {answer.status for answer in answers} == {200}
