"""A jobs api process of the bench's own, without a worker, on the stack's PostgreSQL and billing, behind an edge."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median

import aiohttp
import psycopg

from tests.bench.cost import Cost, measured_cost
from tests.bench.cpu import Meter
from tests.bench.processes import open_edge, process_at, start_api
from tests.bench.report import Row
from tests.bench.yardstick import ECHO_EDGE
from tests.e2e.local_stack import Account, Stack

LOADED_CONNECTIONS = 32
ROUNDS = 7
LOADED_SECONDS = 2.5
UNLOADED_SECONDS = 1.0
PATH = "/v1/videos/generations"
CREATE_BODY = json.dumps(
    {
        "model": "mini",
        "input": {
            "prompt": "A cinematic drone shot of waves breaking against black volcanic rocks",
            "duration": 5,
        },
        "metadata": {"customer_job_id": "job_123"},
    }
).encode()
Next = Callable[[], bytes]
Round = Mapping[str, Cost]
"""By name of what was requested, measured one right after the other."""


@dataclass(frozen=True)
class Rig:
    """Where it answers, its database, and what reads the processor time of all that serves it."""

    edge: str
    database_url: str
    databases: Sequence[str]
    meter: Meter

    async def measure(self, next_request: Next, *, connections: int, seconds: float) -> Cost:
        """Loads it for a while."""
        return await measured_cost(
            self.meter, self.edge, next_request, connections=connections, seconds=seconds
        )

    async def create(self, account: Account, count: int) -> list[str]:
        """Creates jobs, one after the other. Returns their ids."""
        headers = {"Authorization": f"Bearer {account.keys['live']}"}
        ids = []
        async with aiohttp.ClientSession(f"http://{self.edge}", headers=headers) as client:
            for _ in range(count):
                async with client.post(PATH, data=CREATE_BODY) as answer:
                    assert answer.status == 200, await answer.text()
                    ids.append((await answer.json())["data"]["id"])
        return ids

    def execute(self, *statements: str) -> None:
        """Changes the database, as nobody else may."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@asynccontextmanager
async def running_rig(
    stack: Stack, *, database: str, creations_per_second_per_key: int = 0
) -> AsyncIterator[Rig]:
    """Runs the api on a database of its own and an edge in front of it until the block ends."""
    status = stack.status()
    [billing] = [each["pid"] for each in status["processes"] if each["name"] == "billing"]
    async with AsyncExitStack() as opened:
        api, url = await start_api(opened, stack, database=database)
        edge = await opened.enter_async_context(
            open_edge(status, api, creations_per_second_per_key=creations_per_second_per_key)
        )
        processes = {
            "jobs-api": [process_at(api).pid],
            ECHO_EDGE: [process_at(edge).pid],
            "billing": [billing],
        }
        databases = (database, "billing")
        yield Rig(edge, url, databases, Meter(processes, url=stack.cluster().url(), databases=databases))


def rate_row(name: str, rounds: Sequence[Round]) -> Row:
    """Returns how many requests a second there were."""
    rates = [each[name].measured.per_second for each in rounds]
    return Row(name=f"{name}, requests/s", measured=median(rates), best=max(rates), better="higher")


def ratio_row(
    name: str, of: Callable[[Round], float], rounds: Sequence[Round], *, must: float, goal: float, better: str
) -> Row:
    """Returns a ratio that is taken within each round: a shared machine is not the same ten seconds later."""
    found = [of(each) for each in rounds]
    best = max(found) if better == "higher" else min(found)
    return Row(name=name, measured=median(found), best=best, must=must, goal=goal, better=better)


def error_row(what: str, costs: Sequence[Cost]) -> Row:
    """Returns how many requests were not answered with 200."""
    failed = sum(count for cost in costs for status, count in cost.measured.statuses.items() if status != 200)
    return Row(name=f"{what} errors under load", measured=failed, goal=0, better="lower")


def p50(cost: Cost) -> float:
    """Returns the latency that half of the requests stayed below, in seconds."""
    return cost.measured.percentile(0.5)
