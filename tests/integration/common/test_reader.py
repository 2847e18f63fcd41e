"""A reader answers from the database each time, and while its connection is away it says so instead of waiting."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psutil
import psycopg
import pytest
from psycopg.rows import DictRow
from sqlalchemy import text

from services.common.postgres.database import Query
from services.common.postgres.reader import KeyedRows, NoAnswerError, Reader, open_reader
from tests.conftest import MakeDatabase, free_port
from tests.patience import PATIENCE_SECONDS

NAME = "reader-of-the-test"
COLUMNS = """
    id, value, statement_timestamp() AS moment, pg_backend_pid() AS pid,
    (SELECT array_agg(custom_plans ORDER BY name) FROM pg_prepared_statements) AS custom_plans
"""
ROWS = KeyedRows(
    key="id",
    one=Query(text(f"SELECT {COLUMNS} FROM things WHERE id = :id")),
    several=Query(text(f"SELECT {COLUMNS} FROM things WHERE id = ANY (CAST(:ids AS text[]))")),
    keys_max=4,
)
FILL = """
    CREATE TABLE things (id text PRIMARY KEY, value text);
    INSERT INTO things SELECT 'thing-' || n, 'value-' || n FROM generate_series(1, 9) AS n
"""
WAITING = "SELECT FROM pg_locks WHERE NOT granted AND relation IS NOT NULL"
HUGE = 32 * 1024 * 1024
"""Bytes of a key: more than the operating system takes from a connection at once."""


async def found(reader: Reader, key: str = "thing-1") -> DictRow | None:
    """Returns what is found as soon as the reader answers."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await reader.find(key)
            except NoAnswerError:
                await asyncio.sleep(0.02)


async def outcomes(*asked: "asyncio.Future[DictRow | None]") -> list[Any]:
    """Returns what became of each."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await asyncio.gather(*asked, return_exceptions=True)


async def pid_of(reader: Reader) -> int:
    row = await found(reader)
    assert row is not None
    return int(row["pid"])


@pytest.fixture
def url(make_database: MakeDatabase) -> str:
    address = make_database("billing")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(FILL.encode())
    return address


@pytest.fixture
async def reader(url: str) -> AsyncIterator[Reader]:
    async with open_reader(url, ROWS, name=NAME) as opened:
        await found(opened)
        yield opened


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[Callable[[], Any]]:
    """Lets every statement that reads wait until the block ends. Yields what waits until one does."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")

        async def until_one_waits() -> None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await (await connection.execute(WAITING)).fetchall():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

        yield until_one_waits
        await connection.rollback()


async def end_backends(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s",
            (NAME,),
        )


async def test_keys_that_come_while_a_statement_runs_share_the_next_and_each_gets_its_own_row(
    reader: Reader,
) -> None:
    keys = ("thing-1", "thing-2", "thing-2", "none", "{odd},\"'\\")
    alone, *answers = await asyncio.gather(*map(reader.find, ("thing-3", *keys)))

    assert alone is not None
    assert [row and row["value"] for row in answers] == ["value-1", "value-2", "value-2", None, None]
    assert len({row["moment"] for row in answers if row is not None}) == 1


async def test_more_keys_than_a_statement_takes_are_found_by_the_next(reader: Reader) -> None:
    keys = [f"thing-{number}" for number in range(1, 10)]
    answers = await asyncio.gather(*map(reader.find, keys))

    assert [row and row["id"] for row in answers] == keys
    assert len({row["moment"] for row in answers if row is not None}) == 3


async def test_a_row_is_read_anew_each_time(reader: Reader, url: str) -> None:
    before = await found(reader)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("UPDATE things SET value = 'changed'")
    after = await found(reader)

    assert [row and row["value"] for row in (before, after)] == ["value-1", "changed"]


async def test_statements_are_planned_once(reader: Reader) -> None:
    for _ in range(7):
        await asyncio.gather(*map(reader.find, ("thing-1", "thing-2", "thing-3")))
        row = await reader.find("thing-1")

    assert row is not None
    assert row["custom_plans"] == [0, 0]


async def test_a_caller_that_goes_takes_nobody_along(reader: Reader, url: str) -> None:
    async with locked(url) as until_one_waits:
        asked = [reader.find(key) for key in ("thing-1", "thing-2")]
        await until_one_waits()
        asked += [reader.find(key) for key in ("thing-3", "thing-4")]
        await asyncio.sleep(0)
        asked[0].cancel()
        asked[2].cancel()
    rows = await outcomes(*asked)

    assert [isinstance(row, asyncio.CancelledError) or row["id"] for row in rows] == [
        True, "thing-2", True, "thing-4",
    ]  # fmt: skip


async def test_a_key_larger_than_a_connection_takes_at_once_is_sent_bit_by_bit(reader: Reader) -> None:
    pid = await pid_of(reader)

    assert await reader.find("x" * HUGE) is None
    assert await pid_of(reader) == pid


async def test_a_key_that_cannot_be_sent_has_no_answer_and_others_have_theirs(reader: Reader) -> None:
    with pytest.raises(NoAnswerError):
        await reader.find("\0")

    assert await found(reader) is not None


async def test_when_the_connection_is_ended_those_who_wait_are_told_and_it_comes_back(
    reader: Reader, url: str
) -> None:
    first = await pid_of(reader)
    async with locked(url) as until_one_waits:
        asked = [reader.find(key) for key in ("thing-1", "thing-2")]
        await until_one_waits()
        asked.append(reader.find("thing-3"))
        await end_backends(url)
        answers = await outcomes(*asked)

    assert [type(answer) for answer in answers] == [NoAnswerError] * 3
    assert await pid_of(reader) != first


async def test_a_connection_that_is_ended_while_nobody_asks_is_opened_again(reader: Reader, url: str) -> None:
    first = await pid_of(reader)
    await end_backends(url)

    assert await pid_of(reader) != first


async def test_a_statement_that_takes_too_long_is_given_up(reader: Reader, url: str) -> None:
    async with locked(url):
        [outcome] = await outcomes(reader.find("thing-1"))

    assert isinstance(outcome, NoAnswerError)
    assert await found(reader) is not None


async def test_a_server_that_hangs_is_left_and_another_connection_opened(reader: Reader) -> None:
    hanging = psutil.Process(await pid_of(reader))
    hanging.suspend()
    try:
        [outcome] = await outcomes(reader.find("thing-1"))
        pid = await pid_of(reader)
    finally:
        hanging.resume()

    assert isinstance(outcome, NoAnswerError)
    assert pid != hanging.pid


async def test_a_table_that_changes_under_a_statement_is_read_after_all(reader: Reader, url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("ALTER TABLE things ALTER value TYPE varchar(20)")
    row = await found(reader)

    assert row is not None
    assert row["value"] == "value-1"


async def test_as_long_as_nobody_listens_there_is_no_answer() -> None:
    address = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    async with open_reader(address, ROWS, name=NAME) as reader:
        await asyncio.sleep(0)
        with pytest.raises(NoAnswerError):
            await reader.find("thing-1")


async def test_at_the_end_whoever_waits_is_told_and_the_connection_goes(url: str) -> None:
    async with AsyncExitStack() as opened:
        reader = await opened.enter_async_context(open_reader(url, ROWS, name=NAME))
        await found(reader)
        async with locked(url) as until_one_waits:
            asked = [reader.find("thing-1")]
            await until_one_waits()
            asked.append(reader.find("thing-2"))
            await opened.aclose()
            answers = await outcomes(*asked)

    assert [type(answer) for answer in answers] == [NoAnswerError] * 2
    with pytest.raises(NoAnswerError):
        await reader.find("thing-1")
