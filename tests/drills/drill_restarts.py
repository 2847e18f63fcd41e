"""Every Deployment is restarted twice at 50 requests a second, and two are killed. Run by `make drill-restarts`."""

import asyncio
import time

import pytest

from tests.drills.restarts import DEPLOYMENTS, busy_cluster
from tests.patience import PATIENCE_SECONDS

CUSTOMERS_EACH = 7
"""Each sends about four requests a second."""
TIMES = 2
REQUESTS_AFTER = 500


async def test_restarts_one_after_another_fail_no_request_and_lose_no_job() -> None:
    async with busy_cluster(customers_each=CUSTOMERS_EACH) as (cluster, outcome):
        started = time.monotonic()
        for number in range(TIMES):
            async with outcome.waiters.waiting():
                for deployment in DEPLOYMENTS:
                    outcome.record.phase = f"{deployment} {number}"
                    await cluster.replace(deployment)
            outcome.record.phase = f"edge {number}"
            await cluster.replace_edge()
        seconds = time.monotonic() - started

    requests = outcome.record.requests.total()
    print(f"{requests} requests in {seconds:.0f} s, {len(outcome.record.ended)} jobs")
    assert outcome.problems() == []
    assert outcome.waiters.told_early >= 2 * TIMES
    assert outcome.waiters.farewells >= 2 * TIMES


@pytest.mark.parametrize("deployment", ["billing api", "jobs api"])
async def test_a_killed_process_fails_at_most_the_creations_it_had_begun(deployment: str) -> None:
    async with busy_cluster(customers_each=CUSTOMERS_EACH) as (cluster, outcome):
        outcome.record.phase = "killed"
        await cluster.kill(deployment)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while outcome.record.requests["killed"] < REQUESTS_AFTER:  # noqa: ASYNC110  nobody rings
                await asyncio.sleep(0.1)

    polls = [failure for failure in outcome.record.failures if ": GET " in failure]
    print(f"{len(outcome.record.failures)} of {outcome.record.requests.total()} failed")
    assert polls == []
    # One for each customer who was creating a job at that moment.
    assert len(outcome.record.failures) <= 2 * CUSTOMERS_EACH
