"""Jobs and usage of the first release, as the next ones find them."""

from datetime import UTC, date, datetime
from importlib import resources

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config

from services.common.postgres.database import open_pool
from services.common.postgres.migrate import migrate
from services.jobs.domain.job import UsageCount
from services.jobs.domain.requests import Owner
from services.jobs.store.jobs import SqlJobs
from tests.conftest import cluster

OWNER = Owner(account_id="acct_1", environment="live", contract="seedancee2")
# A whole delivery, a shorter one, a failure and one that runs, as the first release wrote them.
FIRST_RELEASE = """
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version,
        micros_per_second, reserved_micros, charged_micros, refunded_micros, created_at)
    SELECT id, 'acct_1', 'live', 'seedancee2', status, 'mini', '{}', '1', 10, 50, charged, refunded, moment
    FROM (VALUES
        ('vid_1', 'completed', 50, 0, timestamptz '2026-07-01 23:59:59.999Z'),
        ('vid_2', 'completed', 30, 0, timestamptz '2026-07-02 00:00Z'),
        ('vid_3', 'failed', 0, 50, timestamptz '2026-07-02 00:30Z'),
        ('vid_4', 'processing', 0, 0, timestamptz '2026-07-02 01:00Z')
    ) AS of_old (id, status, charged, refunded, moment);
    INSERT INTO work (job_id, state) VALUES ('vid_4', 'processing');
    INSERT INTO usage_daily VALUES
        ('acct_1', 'live', '2026-07-01', 'mini', 1, 0, 50, 0),
        ('acct_1', 'live', '2026-07-02', 'mini', 1, 1, 80, 50);
"""


def migrate_to(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("services.common.postgres") / "migration_runner")
    )
    config.set_main_option("version_locations", str(resources.files("services.jobs") / "migrations"))
    config.set_main_option("path_separator", "newline")
    engine = sqlalchemy.create_engine(
        sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sqlalchemy.NullPool
    )
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def a_count(day: date, **counts: int) -> UsageCount:
    nothing = dict.fromkeys(
        ("pending", "processing", "completed", "failed", "charged_micros", "refunded_micros"), 0
    )
    return UsageCount(day=day, model="mini", **{**nothing, **counts})


async def test_the_money_of_old_jobs_adds_up_and_so_does_their_usage(postgres_port: int) -> None:
    cluster(postgres_port).ensure_database("jobs_of_the_first_release")
    url = cluster(postgres_port).url("jobs_of_the_first_release")
    migrate_to(url, "0001")
    with psycopg.connect(url) as connection:
        connection.execute(FIRST_RELEASE.encode())

    migrate(url, service="jobs")

    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT charged_micros, refunded_micros FROM jobs ORDER BY id").fetchall()
        places = connection.execute(
            "SELECT work.account_id, work.environment, admitted_at = created_at"
            " FROM work JOIN jobs ON id = job_id"
        ).fetchall()
    assert rows == [(50, 0), (30, 20), (0, 50), (0, 0)]
    assert places == [("acct_1", "live", True)]
    async with open_pool(url, name="test", connections_max=1) as pool:
        by_day, by_hour = [
            sorted(
                await SqlJobs(pool).usage(owner=OWNER, start=start, end=datetime(2026, 7, 3, tzinfo=UTC)),
                key=lambda count: count.day,
            )
            for start in (datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 1, 23, tzinfo=UTC))
        ]
    assert by_day == by_hour
    assert by_day == [
        a_count(date(2026, 7, 1), completed=1, charged_micros=50),
        a_count(
            date(2026, 7, 2), processing=1, completed=1, failed=1, charged_micros=100, refunded_micros=70
        ),
    ]
