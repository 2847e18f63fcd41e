"""Every list of deliveries is one range of an index for each status, in a table of a million rows."""

import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from sqlalchemy import text

from services.common.postgres.database import Query
from services.webhooks.domain import DeliveryStatus
from services.webhooks.store.history import _PLACE, _page_sql
from tests.integration.module_database import execute_unguarded, module_database

ROWS = 1_000_000
LIMIT = 101
STATUSES = 3
JOB_ROWS = 4
# The newer half is given up, the older half is delivered; what is pending, or goes to the endpoint, is among the oldest.
FILL = f"""
INSERT INTO events VALUES
    ('evt_1', 'job_1', 'acct_1', 'live', 'nextapi', 'job.succeeded', 1, '{{}}', now());
INSERT INTO deliveries
    (job_id, target_id, sequence, event_id, target_url, account_id, environment, accepted_at, outcome, ended_at)
SELECT 'job_' || n / {JOB_ROWS}, CASE WHEN n BETWEEN 1000 AND 1999 THEN 'whe_1' ELSE 'callback' END,
    n % {JOB_ROWS} + 1, 'evt_1', '', 'acct_1', 'live', timestamptz '2026-01-01' + n * interval '1 second',
    CASE WHEN n % 1000 = 0 AND n < 100000 THEN NULL WHEN n < {ROWS // 2} THEN 'delivered' ELSE 'dead_lettered' END,
    CASE WHEN n % 1000 = 0 AND n < 100000 THEN NULL ELSE now() END
FROM generate_series(1, {ROWS}) AS n;
"""
VALUES: dict[str, Any] = {
    "account_id": "acct_1",
    "environment": "live",
    "endpoint_id": "whe_1",
    "job_id": f"job_{ROWS // 8}",
    "start": "2026-01-01T12:00:00Z",
    "end": "2026-01-06T00:00:00Z",
    "after_at": "2026-01-05T00:00:00Z",
    "after_number": 345_600,
    "most": LIMIT,
}
TASK = """
INSERT INTO redeliveries (redelivery_id, account_id, environment, endpoint_id, start_at, end_at)
VALUES ('whr_1', 'acct_1', 'live', %s, '2026-01-01', '2026-12-31')
"""


@pytest.fixture(scope="module")
def filled(postgres_port: int, migrated_templates: Callable[[str], str]) -> Iterator[str]:
    with module_database(postgres_port, migrated_templates("webhooks")) as url:
        execute_unguarded(url, FILL)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")
        yield url


@pytest.mark.parametrize("plan", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("status", [None, *DeliveryStatus])
def test_a_page_reads_little_more_than_it_shows(
    filled: str, plan: str, status: DeliveryStatus | None
) -> None:
    statuses = tuple(DeliveryStatus) if status is None else (status,)
    filters = ("endpoint_id", "job_id", "start", "end", "after_number")
    read = {}
    with psycopg.connect(filled, autocommit=True, row_factory=dict_row) as connection:
        connection.execute(f"SET plan_cache_mode = {plan}".encode())
        for chosen in product((False, True), repeat=len(filters)):
            names = [name for name, is_chosen in zip(filters, chosen, strict=True) if is_chosen]
            read[tuple(names)] = _rows_read(connection, Query(text(_page_sql(names, statuses))))

    assert len(read) == 32
    assert max(read.values()) <= STATUSES * LIMIT + LIMIT, read


def test_a_page_is_found_by_its_key(filled: str) -> None:
    with psycopg.connect(filled, autocommit=True, row_factory=dict_row) as connection:
        after = {"job_id": "job_5", "sequence": 1, "target_id": "callback"}
        assert _rows_read(connection, _PLACE, **after) == 1


@pytest.mark.parametrize("endpoint_id", [None, "whe_1"])
def test_a_redelivery_reads_its_batch_only(filled: str, endpoint_id: str | None) -> None:
    with psycopg.connect(filled, row_factory=dict_row) as connection:
        connection.execute(TASK.encode(), [endpoint_id])
        row = connection.execute(
            b"""EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
            SELECT given_up(redeliveries, 500) FROM redeliveries WHERE redelivery_id = 'whr_1'"""
        ).fetchone()
        connection.rollback()

    assert row is not None
    plan = row["QUERY PLAN"][0]["Plan"]
    assert plan["Actual Rows"] == (500 if endpoint_id is None else 0)
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 1_000


def _rows_read(connection: psycopg.Connection[Any], query: Query, **values: Any) -> int:
    """Returns how many rows of deliveries were read, those that no condition let through included."""
    statement = query.sql.decode()
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    numbered = re.sub(r"%\((\w+)\)s", lambda name: f"${names.index(name[1]) + 1}", statement).replace(
        "%%", "%"
    )
    bound = {**VALUES, **values}
    connection.execute(f"PREPARE page AS {numbered}".encode(), prepare=False)
    arguments = sql.SQL(", ").join(sql.Literal(bound[name]) for name in names)
    explain = sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE page({})").format(arguments)
    [row] = connection.execute(explain, prepare=False).fetchall()
    connection.execute("DEALLOCATE page", prepare=False)
    return sum(_read(node) for node in _nodes(row["QUERY PLAN"][0]["Plan"]))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _read(node: dict[str, Any]) -> int:
    if node.get("Relation Name") != "deliveries":
        return 0
    assert node["Node Type"] in {"Index Scan", "Bitmap Heap Scan"}, node
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])
