"""Jobs whose callbacks come out of order, beside the worker's own steps: nobody waits in a circle."""

import asyncio

from tests.bench.callbacks import PROMPT, count_deadlocks
from tests.e2e.customer import ENDED, SMALL, open_customer
from tests.e2e.local_stack import Account, Stack
from tests.patience import PATIENCE_SECONDS

JOBS = 12


async def test_no_job_ends_in_a_deadlock(stack: Stack, account: Account) -> None:
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        wanted = {"model": "mini", "input": {"prompt": PROMPT, **SMALL}}
        created = await asyncio.gather(*(customer.create(wanted) for _ in range(JOBS)))
        polls = await asyncio.gather(
            *(customer.until(video["id"], ENDED, seconds=PATIENCE_SECONDS) for video in created)
        )

    assert [poll.json["data"]["status"] for poll in polls] == ["completed"] * JOBS
    assert count_deadlocks(stack) == 0
