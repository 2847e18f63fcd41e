"""A primary and two standbys; the primary dies under writes, and a pool of ours follows to the one that is promoted."""

import asyncio
import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest

from services.common.postgres.connection import is_outage
from services.common.postgres.database import Pool, open_pool
from services.devstack.postgres import SUPERUSER
from tests.conftest import PASSWORD
from tests.drills.nodes import Node, fail_over, running_nodes, several
from tests.patience import PATIENCE_SECONDS

WRITERS = 4
ACKNOWLEDGED_MIN = 50


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Node]]:
    with running_nodes() as running:
        yield running


async def test_what_was_acknowledged_outlives_the_primary_and_writing_goes_on(nodes: list[Node]) -> None:
    primary, two, three = nodes
    primary.rows("CREATE TABLE written (number bigint PRIMARY KEY)")
    acknowledged: set[int] = set()
    failures: list[Exception] = []
    url = several(nodes, SUPERUSER, role=SUPERUSER, password=PASSWORD)
    async with open_pool(url, name="writers", connections_max=WRITERS) as pool, asyncio.TaskGroup() as group:
        numbers = itertools.count()
        is_over = asyncio.Event()
        for _ in range(WRITERS):
            group.create_task(_write(pool, numbers, acknowledged, failures, is_over=is_over))
        await _until(lambda: len(acknowledged) >= ACKNOWLEDGED_MIN)
        # From here on only the other standby has what is acknowledged.
        receiver = await asyncio.to_thread(three.receiver)
        receiver.suspend()
        behind = len(acknowledged)
        await _until(lambda: len(acknowledged) >= behind + ACKNOWLEDGED_MIN)
        promoted, other = await asyncio.to_thread(fail_over, nodes)
        receiver.resume()
        before = len(acknowledged)
        await _until(lambda: len(acknowledged) >= before + ACKNOWLEDGED_MIN)
        is_over.set()

    found = {number for (number,) in promoted.rows("SELECT number FROM written")}
    assert (promoted, other) == (two, three)
    assert acknowledged <= found
    assert failures
    assert [error for error in failures if not is_outage(error)] == []


async def _write(
    pool: Pool,
    numbers: Iterator[int],
    acknowledged: set[int],
    failures: list[Exception],
    *,
    is_over: asyncio.Event,
) -> None:
    while not is_over.is_set():
        number = next(numbers)
        try:
            async with pool.connection() as connection:
                await connection.execute("INSERT INTO written VALUES (%s)", (number,))
            acknowledged.add(number)
        except psycopg.Error as error:
            failures.append(error)


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
