"""A primary and two standbys; the primary dies under writes, and a pool and a reader of ours follow to the one that is promoted."""

import asyncio
import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import text

from services.common.postgres.connection import is_outage
from services.common.postgres.database import Pool, Query, open_pool
from services.common.postgres.reader import KeyedRows, NoAnswerError, Reader, open_reader
from services.devstack.postgres import SUPERUSER
from tests.conftest import PASSWORD
from tests.drills.nodes import Node, fail_over, running_nodes, several
from tests.patience import PATIENCE_SECONDS

WRITERS = 4
ACKNOWLEDGED_MIN = 50
COLUMNS = "CAST(number AS text) AS key, inet_server_port() AS port"
WRITTEN = KeyedRows(
    key="key",
    one=Query(text(f"SELECT {COLUMNS} FROM written WHERE number = CAST(CAST(:key AS text) AS bigint)")),
    several=Query(text(f"SELECT {COLUMNS} FROM written WHERE number = ANY (CAST(:keys AS bigint[]))")),
    keys_max=10,
)


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
    async with (
        open_pool(url, name="writers", connections_max=WRITERS) as pool,
        open_reader(url, WRITTEN, name="reader") as reader,
        asyncio.TaskGroup() as group,
    ):
        numbers = itertools.count()
        is_over = asyncio.Event()
        for _ in range(WRITERS):
            group.create_task(_write(pool, numbers, acknowledged, failures, is_over=is_over))
        await _until(lambda: len(acknowledged) >= ACKNOWLEDGED_MIN)
        # From here on only the other standby has what is acknowledged.
        receiver = await asyncio.to_thread(three.receiver)
        receiver.suspend()
        behind = len(acknowledged)
        first_port = await _port_read_from(reader, max(acknowledged))
        await _until(lambda: len(acknowledged) >= behind + ACKNOWLEDGED_MIN)
        promoted, other = await asyncio.to_thread(fail_over, nodes)
        receiver.resume()
        before = len(acknowledged)
        await _until(lambda: len(acknowledged) >= before + ACKNOWLEDGED_MIN)
        is_over.set()
        last_port = await _port_read_from(reader, max(acknowledged))

    found = {number for (number,) in promoted.rows("SELECT number FROM written")}
    assert (promoted, other) == (two, three)
    assert acknowledged <= found
    assert (first_port, last_port) == (primary.port, promoted.port)
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


async def _port_read_from(reader: Reader, number: int) -> int:
    """Returns the port of the server where a reader finds what was acknowledged, as soon as it answers."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                row = await reader.find(str(number))
            except NoAnswerError:
                await asyncio.sleep(0.02)
            else:
                assert row is not None, f"{number} was acknowledged"
                return int(row["port"])


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
