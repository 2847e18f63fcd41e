"""Lists reach PostgreSQL as they are, and one plan serves them all."""

import math
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from psycopg import DataError
from psycopg.rows import DictRow

from services.common.postgres.database import Pool, open_pool
from tests.conftest import MakeDatabase

MOMENTS = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(2026, 7, 1, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    None,
]
LISTS: dict[str, list[list[Any]]] = {
    "text": [
        [],
        [None],
        ["", "null", "NULL", None, " ", "a b", "{}", "a,b", '"', "\\", '\\"', "'", "\n\t\r", "%s", "é\u2028\U0001f30a", "\x01\x7f"],
        [chr(code) for code in range(1, 0x800)],
    ],
    "bigint": [[], [None, 0, -1, 2**31, -(2**63), 2**63 - 1], [1, 300, 70_000]],
    "integer": [[1], [2**31 - 1, -(2**31)]],
    "boolean": [[True, False, None]],
    "double precision": [[0.0, -1.5, 1e-300, 1e300, 0.1, math.inf, None]],
    "timestamptz": [MOMENTS],
    "interval": [[timedelta(0), timedelta(days=-1, microseconds=1), timedelta(days=30, hours=25), None]],
    "bytea": [[b"", b'\x00\xff\\"', bytes(range(256)), None]],
    "date": [[date(1, 1, 1), date(2026, 7, 1), None]],
}  # fmt: skip
PLANNED = "SELECT count(*) AS count FROM pg_prepared_statements WHERE statement LIKE '%AS item%'"


@pytest.fixture
async def pool(make_database: MakeDatabase) -> AsyncIterator[Pool]:
    async with open_pool(make_database("billing"), name="test", connections_max=1) as opened:
        yield opened


async def rows(pool: Pool, statement: str, *values: Any) -> list[DictRow]:
    async with pool.connection() as connection:
        return await (await connection.execute(statement.encode(), values or None)).fetchall()


@pytest.mark.parametrize("type_name", LISTS)
async def test_what_is_sent_comes_back(pool: Pool, type_name: str) -> None:
    for sent in LISTS[type_name]:
        assert await rows(pool, f"SELECT CAST(%s AS {type_name}[]) AS back", sent) == [{"back": sent}]


async def test_lists_of_other_and_of_larger_items_share_a_statement(pool: Pool) -> None:
    for sent in ([], [None], [1], [300], [70_000], [2**40]) * 6:
        await rows(pool, "SELECT item FROM unnest(CAST(%s AS bigint[])) AS item", sent)

    assert await rows(pool, PLANNED) == [{"count": 1}]


@pytest.mark.parametrize("item", ["a\0b", Decimal(1), [1]])
async def test_what_no_array_of_ours_has_is_refused_before_it_is_sent(pool: Pool, item: Any) -> None:
    with pytest.raises(DataError):
        await rows(pool, "SELECT CAST(%s AS text[])", [item])

    assert await rows(pool, "SELECT 1 AS one") == [{"one": 1}]
