import asyncio
import itertools
import os
import socket
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import OperationalError, sql
from psycopg_pool import PoolTimeout

from services.common.postgres.connection import is_outage
from services.common.postgres.database import Pool, open_pool
from services.common.postgres.migrate import migrate
from tests.conftest import MakeDatabase, free_port
from tests.patience import PATIENCE_SECONDS

CONNECTIONS = 8
NOTICED_SECONDS_MAX = 5
TRIES = 7


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


async def test_a_server_that_takes_no_writes_any_more_is_left_and_counts_as_an_outage(
    make_database: MakeDatabase,
) -> None:
    url = make_database("billing")
    async with open_pool(url, name="demoted", connections_max=CONNECTIONS) as pool:
        await _fill(pool)
        async with pool.connection() as connection:
            await connection.execute("SET default_transaction_read_only = on")
            demoted = connection.info.backend_pid
        failures, pids = await _failures_until_written(pool)

    assert [is_outage(error) for error in failures] == [True]
    assert demoted not in pids


async def _failures_until_written(pool: Pool) -> tuple[list[Exception], set[int]]:
    """Writes over every connection of a pool. Returns what failed, and which backends took the writes."""
    failures: list[Exception] = []
    pids: set[int] = set()
    for _ in range(2 * CONNECTIONS):
        try:
            async with pool.connection() as connection:
                await connection.execute("CREATE TABLE IF NOT EXISTS written ()")
                pids.add(connection.info.backend_pid)
        except psycopg.Error as error:
            failures.append(error)
    return failures, pids


async def test_of_several_hosts_the_one_that_takes_writes_is_found(make_database: MakeDatabase) -> None:
    url = make_database("billing")
    address = urlsplit(url)
    several = address._replace(netloc=address.netloc.replace("@", f"@127.0.0.1:{free_port()},")).geturl()

    migrate(several, service="billing")
    async with open_pool(several, name="several", connections_max=1) as pool, pool.connection() as connection:
        port = connection.info.port

    assert port == address.port


async def test_a_server_that_only_reads_is_not_connected_to(make_database: MakeDatabase) -> None:
    url = make_database("billing")
    with psycopg.connect(url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))

    async with open_pool(url, name="standby", connections_max=1) as pool:
        with pytest.raises(PoolTimeout):
            async with pool.connection(timeout=1.0):
                raise AssertionError


async def test_a_vanished_server_is_noticed_within_seconds(make_database: MakeDatabase) -> None:
    options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    async with (
        open_pool(make_database("billing"), name="kept", connections_max=1) as pool,
        pool.connection() as connection,
    ):
        with socket.socket(fileno=os.dup(connection.fileno())) as wire:
            idle, each, count, unanswered_ms = (wire.getsockopt(socket.IPPROTO_TCP, name) for name in options)

    assert idle + each * count <= NOTICED_SECONDS_MAX
    assert 0 < unanswered_ms <= NOTICED_SECONDS_MAX * 1000


async def test_sessions_have_their_limits_without_options_at_the_start(make_database: MakeDatabase) -> None:
    shown = "SELECT current_setting(name) FROM unnest(ARRAY['statement_timeout', 'TimeZone', 'jit']) AS name"
    async with (
        open_pool(make_database("billing"), name="kept", connections_max=1) as pool,
        pool.connection() as connection,
    ):
        rows = await (await connection.execute(shown)).fetchall()
        started_with = connection.info.options

    assert [row["current_setting"] for row in rows] == ["10s", "UTC", "off"]
    assert started_with == ""


async def test_a_server_that_is_away_is_tried_again_no_less_often_the_longer_it_lasts() -> None:
    clock = asyncio.get_running_loop().time
    tried: list[float] = []

    def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.append(clock())
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", free_port())
    [port] = [each.getsockname()[1] for each in server.sockets]
    async with (
        server,
        asyncio.timeout(PATIENCE_SECONDS),
        open_pool(f"postgresql://nobody@127.0.0.1:{port}/jobs", name="away", connections_max=1),
    ):
        while len(tried) < TRIES:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    rests = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert max(rests[-2:]) < 2 * max(rests[:2])
