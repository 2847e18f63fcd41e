"""All jobs of an installation come to lie in the months of their ids, while both releases go on with them."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from services.common.clock import utc_now
from services.common.ids import new_id
from services.common.postgres.migrate import migrate
from tests.conftest import cluster
from tests.integration.jobs.test_migrations import migrate_to

BEFORE = "0012"
MONTHS = 20
NOW = utc_now()
STATES = ("pending", "submitting", "processing", "stored", "failing", "completed", "failed")
ADD_JOB = """
    WITH added AS (
        INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version,
            micros_per_second, reserved_micros, charged_micros, refunded_micros, created_at, ended_at)
        VALUES (%(id)s, 'acct_1', 'live', 'seedancee2', %(status)s, 'mini', '{}', '1', 10, 50,
            %(charged)s, %(refunded)s, %(moment)s, %(ended)s)
        ON CONFLICT DO NOTHING
        RETURNING id
    ), tried AS (
        INSERT INTO attempts (id, job_id, number, route, upstream_model, token, lease_no)
        SELECT id || '-1', id, 1, 'simulator', 'mini', id, 1 FROM added
    ), lined_up AS (
        INSERT INTO work (job_id, state) SELECT id, %(state)s FROM added WHERE %(ended)s::timestamptz IS NULL
    )
    INSERT INTO refunds (refund_id, job_id, amount_micros, actor, reason, due_at)
    SELECT id, id, 1, 'a', 'b', now() FROM added WHERE %(charged)s > 0
"""
TABLES = ("jobs", "work", "attempts", "refunds")


def a_row(moment: datetime, state: str, prefix: str = "vid") -> dict[str, object]:
    has_ended = state in {"completed", "failed"}
    status = state if has_ended or state == "pending" else "processing"
    return {
        "id": new_id(prefix, moment),
        "state": state,
        "status": status,
        "moment": moment,
        "ended": moment if has_ended else None,
        "charged": 50 if state == "completed" else 0,
        "refunded": 50 if state == "failed" else 0,
    }


@pytest.fixture
def url(postgres_port: int) -> Iterator[str]:
    """Returns the address of a database of the release before, with jobs of many months in all states."""
    name = sql.Identifier("jobs_of_many_months")
    with psycopg.connect(cluster(postgres_port).url(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            address = cluster(postgres_port).url("jobs_of_many_months")
            migrate_to(address, BEFORE)
            with psycopg.connect(address) as connection:
                for month in range(MONTHS):
                    for state in STATES:
                        for prefix in ("vid", "job"):
                            moment = NOW - timedelta(days=30 * month)
                            connection.execute(ADD_JOB, a_row(moment, state, prefix))
            yield address
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


ROWS = """
SELECT CAST(to_jsonb({0}) - ARRAY(
    SELECT CAST(column_name AS text) FROM information_schema.columns
    WHERE table_name = '{0}' AND column_name = ANY (%s)
) AS text) FROM {0} ORDER BY 1
"""
ADDED_LATER = [
    "is_claim_authentic", "waits_for", "waits_on", "provider", "credential", "key_name", "quoted_micros", "cost_micros", "failure_class",
    "submitted_at", "rendered_at", "retry_at", "rendered_by", "names_seed",
]  # fmt: skip
"""Columns of later migrations, which have run too."""


def content(url: str) -> dict[str, list[str]]:
    with psycopg.connect(url) as connection:
        return {
            table: [
                row for (row,) in connection.execute(ROWS.format(table).encode(), [ADDED_LATER]).fetchall()
            ]
            for table in TABLES
        }


def ids(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {job_id for (job_id,) in connection.execute("SELECT id FROM jobs").fetchall()}


def test_every_row_is_there_as_it_was_and_lies_in_its_month(url: str) -> None:
    before = content(url)

    migrate(url, service="jobs")

    assert len(before["jobs"]) == MONTHS * len(STATES) * 2
    assert content(url) == before
    with psycopg.connect(url) as connection:
        places = connection.execute("SELECT tableoid::regclass::text, id, created_at FROM jobs").fetchall()
    assert [place for place, _, _ in places] == [
        f"jobs_{job_id[:3]}_{created_at.astimezone(UTC):%Y_%m}" for _, job_id, created_at in places
    ]


def test_what_is_stored_and_changed_meanwhile_is_there_too(url: str) -> None:
    stopped = threading.Event()
    stored: list[object] = []
    changed: dict[str, str] = {}

    def go_on() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            known = [job_id for (job_id,) in connection.execute("SELECT id FROM jobs").fetchall()]
            while not stopped.is_set():
                row = a_row(utc_now(), "pending")
                connection.execute(ADD_JOB, row)
                stored.append(row["id"])
                job_id = known[len(stored) % len(known)]
                failure = f"failure {len(stored)}"
                connection.execute("UPDATE jobs SET failure = %s WHERE id = %s", (failure, job_id))
                changed[job_id] = failure

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(go_on)
        try:
            migrate(url, service="jobs")
        finally:
            stopped.set()
        writing.result()

    assert len(stored) > 0
    assert ids(url) >= set(stored)
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT id, failure FROM jobs WHERE failure IS NOT NULL").fetchall()
    assert dict(rows) == changed


def test_nobody_waits_behind_it_while_it_waits_for_a_long_transaction(url: str) -> None:
    with ThreadPoolExecutor(1) as threads, psycopg.connect(url) as long, psycopg.connect(url) as other:
        other.autocommit = True
        long.execute("UPDATE jobs SET failure = 'long'")
        migrating = threads.submit(migrate, url, service="jobs")
        for _ in range(200):
            other.execute(ADD_JOB, a_row(utc_now(), "pending"))
        assert not migrating.done()
        long.commit()
        migrating.result()

    assert len(ids(url)) == MONTHS * len(STATES) * 2 + 200


def test_whoever_was_interrupted_begins_again(url: str) -> None:
    before = content(url)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE jobs_by_month (LIKE jobs) PARTITION BY RANGE (id)")
        connection.execute("CREATE TABLE jobs_vid_first PARTITION OF jobs_by_month DEFAULT")
        connection.execute("CREATE INDEX by_month_jobs_newest ON jobs_by_month (id)")
        connection.execute("INSERT INTO jobs_by_month SELECT * FROM jobs LIMIT 3")
        connection.execute("UPDATE jobs_by_month SET failure = 'planted'")
        connection.execute(
            "CREATE FUNCTION copy_job() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        )
        connection.execute(
            "CREATE TRIGGER jobs_copy AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION copy_job()"
        )

    migrate(url, service="jobs")

    assert content(url) == before


def test_the_role_of_running_processes_keeps_its_rights_from_the_first_moment_on(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE reelgate_test_divided LOGIN")
        try:
            connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON jobs TO reelgate_test_divided")

            migrate(url, service="jobs")

            [rights] = connection.execute("""
                SELECT has_table_privilege('reelgate_test_divided', 'jobs', 'SELECT'),
                    has_table_privilege('reelgate_test_divided', 'jobs', 'INSERT'),
                    has_table_privilege('reelgate_test_divided', 'jobs', 'UPDATE'),
                    has_table_privilege('reelgate_test_divided', 'jobs', 'DELETE'),
                    has_table_privilege('reelgate_test_divided', 'jobs', 'TRUNCATE')
            """).fetchall()
        finally:
            connection.execute("DROP OWNED BY reelgate_test_divided; DROP ROLE reelgate_test_divided")
    assert rights == (True, True, True, True, False)
