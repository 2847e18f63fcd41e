"""A cap on the jobs at providers, as the customer and the operator of a running stack see it."""

import pytest

from tests.e2e.customer import SMALL, VIDEOS, open_customer
from tests.e2e.local_stack import Stack
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUEUED = {"model": "mini", "input": {"prompt": "[simulate: queue 900]", **SMALL}}
AT_PROVIDER = {"processing"}


async def test_a_video_above_the_cap_waits_until_another_ends(stack: Stack) -> None:
    account = stack.create_account("capped")
    stack.answer("account", "rules", account.account_id, "--jobs-at-once", "1", "--reason", "tests")
    async with (
        open_customer(stack.edge, account.keys["live"]) as live,
        open_customer(stack.edge, account.keys["test"]) as test,
    ):
        first, second = [await live.create(QUEUED) for _ in range(2)]
        of_test = await test.create(QUEUED)
        await live.until(first["id"], AT_PROVIDER, seconds=PATIENCE_SECONDS)
        await test.until(of_test["id"], AT_PROVIDER, seconds=PATIENCE_SECONDS)
        waits = await live.get(f"{VIDEOS}/{second['id']}")
        listed = {job["job_id"]: job for job in stack.answer("job", "list", "--state", "pending")}

        await live.send("POST", f"{VIDEOS}/{first['id']}/cancel")
        await live.until(second["id"], AT_PROVIDER, seconds=PATIENCE_SECONDS)

        assert waits["status"] == "pending"
        assert listed[second["id"]]["due_at"] == ""
        for customer, video in ((live, second), (test, of_test)):
            await customer.send("POST", f"{VIDEOS}/{video['id']}/cancel")
        assert (await live.get("/v1/balance"))["held"] == 0
