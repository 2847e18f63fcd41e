"""Jobs whose callbacks come at once and out of order, beside the worker's own steps: nobody may wait in a circle.

By itself: `python -m tests.bench.callbacks`.
"""

import asyncio
from pathlib import Path

import aiohttp

from services.devstack.folder import StackFolder
from tests.bench.report import Row, publish
from tests.bench.walk import Customer, all_announced, receiving
from tests.e2e.local_stack import Account, Stack, running_stack

JOBS = 1_000
AT_ONCE = 100
PROMPT = "[simulate: shuffled callbacks] a boat"
CREDITS = "1000000"
REPORT = Path("build/callbacks.json")


async def measure_callbacks(stack: Stack, account: Account, *, jobs: int = JOBS) -> list[Row]:
    """Measures a stack with the instant simulator. All jobs end before it is looked at."""
    before = count_deadlocks(stack)
    headers = {"Authorization": f"Bearer {account.keys['live']}"}
    async with receiving() as receiver, aiohttp.ClientSession(stack.edge, headers=headers) as client:
        customer = Customer(client, receiver)
        for first in range(0, jobs, AT_ONCE):
            count = min(AT_ONCE, jobs - first)
            await asyncio.gather(*(customer.create(PROMPT) for _ in range(count)))
            await all_announced(receiver, count)
        ended = len(receiver.announced)
    return [
        Row(name="jobs with callbacks out of order", measured=ended, goal=jobs, better="higher"),
        Row(name="deadlocks among them", measured=count_deadlocks(stack) - before, goal=0, better="lower"),
    ]


def count_deadlocks(stack: Stack) -> int:
    """Returns how many PostgreSQL has put on record since the stack was started."""
    log = StackFolder(stack.folder).logs / "postgres.log"
    return log.read_text(encoding="utf-8").count("deadlock detected")


def main() -> None:
    with running_stack("--simulator-mode", "instant") as stack:
        account = stack.create_account("callbacks", credits_each=CREDITS)
        publish(asyncio.run(measure_callbacks(stack, account)), file=REPORT)


if __name__ == "__main__":
    main()
