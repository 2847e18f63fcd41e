"""Migrations run while the release before serves: they wait for no lock long, and two runners do not block each other."""

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from services.common.postgres import migrate as runner
from services.common.postgres.migrate import LOCK_TIMEOUT_MS, LockedError, migrate
from tests.conftest import cluster
from tests.integration.common.planted_service import TABLE, plant_service
from tests.patience import PATIENCE_SECONDS

ADD_COLUMN = 'op.execute("ALTER TABLE things ADD COLUMN added text")'
ADD_INDEX = """
with op.get_context().autocommit_block():
    op.execute("INSERT INTO things VALUES ('outside', current_setting('lock_timeout'))")
    op.execute("DROP INDEX CONCURRENTLY IF EXISTS things_name")
    op.execute("CREATE INDEX CONCURRENTLY things_name ON things (name)")
op.execute("INSERT INTO things VALUES ('after', current_setting('lock_timeout'))")
""".strip()
NOTE_TIMEOUTS = "op.execute(\"INSERT INTO things SELECT name, setting FROM pg_settings WHERE name ~ '^(lock|statement)_timeout'\")"


@pytest.fixture
def url(postgres_port: int) -> Iterator[str]:
    """Returns the address of an empty database."""
    name = "test_planted_service"
    cluster(postgres_port).ensure_database(name)
    yield cluster(postgres_port).url(name)
    with psycopg.connect(cluster(postgres_port).url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_migration_that_meets_a_lock_gives_way_and_comes_back(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(url, service=plant_service(monkeypatch, tmp_path, [TABLE]))
    service = plant_service(monkeypatch, tmp_path, [TABLE, ADD_COLUMN])
    pauses: list[float] = []
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as customer:
        holder.execute("SELECT FROM things")

        def pause(seconds: float) -> None:
            # Nobody queues behind the migration now.
            customer.execute("INSERT INTO things (name) VALUES ('meanwhile')")
            pauses.append(seconds)
            if len(pauses) == 3:
                holder.rollback()

        assert migrate(url, service=service, sleep=pause) == 2

        assert len(pauses) == 3
        assert customer.execute("SELECT count(added) FROM things").fetchone() == (0,)


def test_a_migration_that_never_gets_its_lock_says_so(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(url, service=plant_service(monkeypatch, tmp_path, [TABLE]))
    service = plant_service(monkeypatch, tmp_path, [TABLE, ADD_COLUMN])
    monkeypatch.setattr(runner, "TRIES_MAX", 3)
    with psycopg.connect(url) as holder:
        holder.execute("SELECT FROM things")

        with pytest.raises(LockedError, match="locked by others at each of 3 tries"):
            migrate(url, service=service, sleep=lambda _seconds: None)


def test_every_transaction_has_limits_and_what_blocks_nobody_may_wait(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = plant_service(monkeypatch, tmp_path, [TABLE, NOTE_TIMEOUTS, ADD_INDEX])

    migrate(url, service=service)

    with psycopg.connect(url) as connection:
        seen: dict[str, str] = dict(connection.execute("SELECT name, seen FROM things").fetchall())
    limit = f"{LOCK_TIMEOUT_MS}"
    assert seen == {
        "lock_timeout": limit,
        "statement_timeout": "60000",
        "outside": "0",
        "after": f"{limit}ms",
    }


def test_a_second_runner_does_not_block_an_index_that_is_built_beside_traffic(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(url, service=plant_service(monkeypatch, tmp_path, [TABLE]))
    service = plant_service(monkeypatch, tmp_path, [TABLE, ADD_INDEX])
    waiting, failures = threading.Event(), list[Exception]()

    def run(sleep: runner.Sleep) -> None:
        try:
            migrate(url, service=service, sleep=sleep)
        except Exception as error:  # noqa: BLE001  whatever it is
            failures.append(error)

    def wait(seconds: float) -> None:
        waiting.set()
        threading.Event().wait(seconds)

    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as observer:
        holder.execute("INSERT INTO things (name) VALUES ('old')")
        first = threading.Thread(target=run, args=[wait])
        first.start()
        while (
            observer.execute(
                "SELECT FROM pg_stat_activity WHERE query ~ '^CREATE INDEX CONCURRENTLY' AND wait_event_type = 'Lock'"
            ).fetchone()
            is None
        ):
            assert first.is_alive(), failures
        second = threading.Thread(target=run, args=[wait])
        second.start()
        assert waiting.wait(PATIENCE_SECONDS)
        holder.commit()
        for thread in (first, second):
            thread.join(PATIENCE_SECONDS)

        assert failures == []
        assert observer.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'things_name'::regclass"
        ).fetchone()


def test_a_release_that_was_rolled_back_leaves_a_newer_schema_alone(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(url, service=plant_service(monkeypatch, tmp_path / "new", [TABLE, ADD_COLUMN]))
    older = plant_service(monkeypatch, tmp_path / "old", [TABLE], name="older")

    assert migrate(url, service=older) == 2


def test_whoever_sees_the_number_of_the_newest_migration_may_use_its_tables(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = plant_service(monkeypatch, tmp_path, [TABLE])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE planted_runtime")
        try:
            migrate(url, service=service, runtime_role="planted_runtime")

            committed = connection.execute(
                "SELECT alembic_version.xmin = pg_class.xmin, has_table_privilege('planted_runtime', 'things', 'UPDATE')"
                " FROM alembic_version, pg_class WHERE relname = 'things'"
            ).fetchall()
        finally:
            connection.execute("DROP OWNED BY planted_runtime; DROP ROLE planted_runtime")

    assert committed == [(True, True)]
