import asyncio

import psycopg
import pytest
from psycopg import OperationalError

from services.common.postgres.database import Pool, open_pool
from tests.conftest import MakeDatabase
from tests.patience import PATIENCE_SECONDS

CONNECTIONS = 8


async def _fill(pool: Pool) -> None:
    async def use(barrier: asyncio.Barrier) -> None:
        async with pool.connection() as connection:
            await barrier.wait()
            await connection.execute("SELECT 1")

    barrier = asyncio.Barrier(CONNECTIONS)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(use(barrier) for _ in range(CONNECTIONS)))


async def test_after_a_restart_of_the_database_one_call_fails_and_not_one_for_each_connection(
    make_database: MakeDatabase,
) -> None:
    url = make_database("billing")
    failures = 0
    async with open_pool(url, name="restarted", connections_max=CONNECTIONS) as pool:
        await _fill(pool)
        with psycopg.connect(url, autocommit=True) as other:
            ended = other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'restarted'"
            ).fetchall()

        for _ in range(2 * CONNECTIONS):
            try:
                async with pool.connection() as connection:
                    await connection.execute("SELECT 1")
            except OperationalError:
                failures += 1

    assert len(ended) == CONNECTIONS
    assert failures == 1


async def test_a_broken_statement_keeps_the_connection(make_database: MakeDatabase) -> None:
    async with open_pool(make_database("billing"), name="kept", connections_max=1) as pool:
        async with pool.connection() as connection:
            first = connection.info.backend_pid
            with pytest.raises(psycopg.errors.DivisionByZero):
                await connection.execute("SELECT 1 / 0")

        async with pool.connection() as connection:
            assert connection.info.backend_pid == first
