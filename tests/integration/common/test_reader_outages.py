"""A PostgreSQL of the test's own restarts, is killed, hangs, only reads or refuses; a reader says so, and comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import psutil
import psycopg
import pytest
from psycopg.rows import DictRow
from sqlalchemy import text

from services.common.postgres.database import Query
from services.common.postgres.reader import KeyedRows, NoAnswerError, Reader, open_reader
from tests.conftest import PASSWORD
from tests.drills.nodes import Node, node_folder, prepared
from tests.patience import PATIENCE_SECONDS

ROLE, NAME = "reading", "reader-of-the-test"
COLUMNS = "id, pg_backend_pid() AS pid"
ROWS = KeyedRows(
    key="id",
    one=Query(text(f"SELECT {COLUMNS} FROM things WHERE id = :id")),
    several=Query(text(f"SELECT {COLUMNS} FROM things WHERE id = ANY (CAST(:ids AS text[]))")),
    keys_max=4,
)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with node_folder() as folder:
        server = prepared(folder, "one", settings="fsync = off\n")
        server.start()
        try:
            server.rows(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
            server.rows("CREATE TABLE things (id text PRIMARY KEY)")
            server.rows(f"GRANT SELECT ON things TO {ROLE}")
            server.rows("INSERT INTO things VALUES ('a')")
            yield server
        finally:
            server.stop()


@pytest.fixture
async def reader(node: Node) -> AsyncIterator[Reader]:
    url = node.url().replace("postgresql://postgres:", f"postgresql://{ROLE}:")
    async with open_reader(url, ROWS, name=NAME) as opened:
        yield opened


async def found(reader: Reader) -> DictRow:
    """Returns what is found as soon as the reader answers."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                row = await reader.find("a")
            except NoAnswerError:
                await asyncio.sleep(0.02)
            else:
                assert row is not None
                return row


async def until_there_is_no_answer(reader: Reader) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await reader.find("a")
            except NoAnswerError:
                return


async def test_a_server_that_restarts_is_found_again(node: Node, reader: Reader) -> None:
    await found(reader)
    await asyncio.to_thread(node.stop)
    await until_there_is_no_answer(reader)
    await asyncio.to_thread(node.start)

    assert (await found(reader))["id"] == "a"


async def test_a_server_that_is_killed_under_statements_is_found_again(node: Node, reader: Reader) -> None:
    await found(reader)
    asking = asyncio.create_task(until_there_is_no_answer(reader))
    await asyncio.to_thread(node.die)
    await asking
    await asyncio.to_thread(node.start)

    assert (await found(reader))["id"] == "a"


async def test_a_server_that_hangs_is_asked_again_when_it_goes_on(node: Node, reader: Reader) -> None:
    first = (await found(reader))["pid"]
    server = psutil.Process(first).parent()
    assert server is not None
    processes = (server, *server.children(recursive=True))
    for process in processes:
        process.suspend()
    try:
        await until_there_is_no_answer(reader)
        with pytest.raises(NoAnswerError):
            await reader.find("a")
    finally:
        for process in reversed(processes):
            process.resume()

    assert (await found(reader))["pid"] != first


async def test_a_server_that_takes_no_writes_any_more_is_left(node: Node, reader: Reader) -> None:
    first = (await found(reader))["pid"]
    node.rows("ALTER SYSTEM SET default_transaction_read_only = on")
    node.rows("SELECT pg_reload_conf()")
    try:
        await until_there_is_no_answer(reader)
    finally:
        with psycopg.connect(
            node.url(), autocommit=True, options="-c default_transaction_read_only=off"
        ) as other:
            other.execute("ALTER SYSTEM RESET default_transaction_read_only")
            other.execute("SELECT pg_reload_conf()")

    assert (await found(reader))["pid"] != first


async def test_a_reader_whose_password_is_not_taken_any_more_tries_again(
    node: Node, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    first = (await found(reader))["pid"]
    node.rows(f"ALTER ROLE {ROLE} PASSWORD 'another'")
    node.rows(
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '{NAME}'"
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "password authentication failed" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        with pytest.raises(NoAnswerError):
            await reader.find("a")
    finally:
        node.rows(f"ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'")

    assert (await found(reader))["pid"] != first
