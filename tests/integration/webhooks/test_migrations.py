"""What waits while the database is brought to a newer version is delivered afterwards."""

from collections.abc import Iterator
from importlib import resources

import psycopg
import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config

from services.common.postgres.migrate import migrate
from services.webhooks.settings import WebhooksSettings
from tests.conftest import cluster
from tests.integration.webhooks.dispatching import open_bench
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Database

WAITING = """
INSERT INTO events VALUES ('vid_1-1', 'vid_1', 'acct_1', 'live', 'seedancee2', 'video.generation.completed', 1, '{}', now());
INSERT INTO deliveries (job_id, target_id, sequence, event_id, target_url)
VALUES ('vid_1', 'callback', 1, 'vid_1-1', '%s/hook');
INSERT INTO attempts VALUES ('vid_1', 'callback', 1, 1, now(), 5, 500, NULL, '');
INSERT INTO heads (job_id, target_id, next_sequence, attempt_count) VALUES ('vid_1', 'callback', 1, 1);
"""


@pytest.fixture
def first_version(postgres_port: int) -> Iterator[str]:
    """Returns the address of a database as the first migration left it."""
    name = "test_webhooks_first_version"
    cluster(postgres_port).ensure_database(name)
    url = cluster(postgres_port).url(name)
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("services.common.postgres") / "migration_runner")
    )
    config.set_main_option("version_locations", str(resources.files("services.webhooks") / "migrations"))
    config.set_main_option("path_separator", "newline")
    engine = sqlalchemy.create_engine(
        sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sqlalchemy.NullPool
    )
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    yield url
    server = cluster(postgres_port).url()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def test_what_waited_before_lanes_is_delivered_after(
    settings: WebhooksSettings, first_version: str, receiver: Receiver
) -> None:
    database = Database(first_version)
    await database.rows(WAITING % receiver.url)

    migrate(first_version, service="webhooks")
    async with open_bench(settings.model_copy(update={"database_url": first_version})) as bench:
        await bench.deliver_due()

    [delivery] = await database.rows("SELECT account_id, environment, outcome, attempt_count FROM deliveries")
    [attempt] = await database.rows("SELECT number, status FROM attempts ORDER BY number DESC LIMIT 1")
    assert receiver.event_ids == ["vid_1-1"]
    assert tuple(delivery.values()) == ("acct_1", "live", "delivered", 2)
    assert tuple(attempt.values()) == (2, 200)
