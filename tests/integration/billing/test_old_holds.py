"""Holds that were made to expire within minutes, before holds lasted, and how those of a certain age are found."""

from importlib import resources

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config

from services.billing.store.holds import UNCONFIRMED
from services.common.postgres.database import open_pool
from services.common.postgres.migrate import migrate
from tests.conftest import MakeDatabase, cluster

BEFORE = """
    INSERT INTO accounts (account_id, name, contract) VALUES ('acct_1', 'Acme', 'seedancee2');
    INSERT INTO balances (account_id, environment) VALUES ('acct_1', 'live');
    INSERT INTO holds (hold_id, account_id, environment, amount_micros, spent_on, state, expires_at, resolved_at)
    SELECT hold_id, 'acct_1', 'live', 1, '2026-07-01', state, clock_timestamp() + lasts,
        CASE WHEN state = 'released' THEN clock_timestamp() END
    FROM (VALUES
        ('job_1', 'provisional', interval '5 min'), ('job_2', 'provisional', interval '-5 min'),
        ('job_3', 'confirmed', interval '97 h'), ('job_4', 'released', interval '5 min')
    ) AS hold (hold_id, state, lasts);
"""
FILL = """
    INSERT INTO accounts (account_id, name, contract) VALUES ('acct_1', 'Acme', 'seedancee2');
    INSERT INTO balances (account_id, environment) VALUES ('acct_1', 'live');
    INSERT INTO holds (hold_id, account_id, environment, amount_micros, spent_on, state, resolved_at)
    SELECT 'job_' || lpad(n::text, 6, '0'), 'acct_1', 'live', 1, '2026-07-01', 'released', clock_timestamp()
    FROM generate_series(1, 5000) AS n;
    ANALYZE holds;
"""


def migrate_to(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("services.common.postgres") / "migration_runner")
    )
    config.set_main_option("version_locations", str(resources.files("services.billing") / "migrations"))
    config.set_main_option("path_separator", "newline")
    engine = sqlalchemy.create_engine(
        sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sqlalchemy.NullPool
    )
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_the_holds_of_jobs_that_wait_during_an_upgrade_last(postgres_port: int) -> None:
    cluster(postgres_port).ensure_database("billing_with_short_holds")
    url = cluster(postgres_port).url("billing_with_short_holds")
    migrate_to(url, "0007")
    with psycopg.connect(url) as connection:
        connection.execute(BEFORE.encode())

    migrate(url, service="billing")

    with psycopg.connect(url) as connection:
        days = connection.execute(
            "SELECT hold_id, round(extract(epoch FROM expires_at - clock_timestamp()) / 86400)::int"
            " FROM holds ORDER BY hold_id"
        ).fetchall()
    assert days == [("job_1", 30), ("job_2", 0), ("job_3", 4), ("job_4", 0)]


async def test_old_provisional_holds_are_found_by_an_index_of_these_alone(
    make_database: MakeDatabase,
) -> None:
    bound = UNCONFIRMED.bind(age_seconds=900, after_id="job_1", holds_max=500)
    async with (
        open_pool(make_database("billing"), name="test", connections_max=1) as pool,
        pool.connection() as connection,
    ):
        await connection.execute(FILL.encode())
        cursor = await connection.execute(b"EXPLAIN " + UNCONFIRMED.sql, bound)
        lines = [row["QUERY PLAN"] for row in await cursor.fetchall()]

    assert any("holds_unconfirmed_idx" in line for line in lines)
    assert not any("Seq Scan" in line for line in lines)
