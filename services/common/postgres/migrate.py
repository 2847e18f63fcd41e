"""Brings a service's database to the newest version: Alembic, one runner at a time, beside processes that serve.

A lock that a migration waits for is one that every later statement on the table waits for too. So it waits briefly,
gives up, lets through what has queued behind it, and tries again.
"""

import time
from collections.abc import Callable
from functools import partial
from importlib import resources
from typing import Any

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, text

from services.common.backoff import backoff_seconds
from services.common.postgres.connection import connection_parameters
from services.common.postgres.runtime_role import grant_use
from services.common.postgres.schema import newest_known, number_of

LOCK_NUMBER = 7_266_428
"""Of the advisory lock that keeps two runners apart."""
RUNNER_POLL_SECONDS = 0.5
LOCK_TIMEOUT_MS = 50
STATEMENT_TIMEOUT_SECONDS = 60
TRIES_MAX = 120
TRY_AGAIN_SECONDS_FIRST, TRY_AGAIN_SECONDS_MAX = 0.1, 3.0
"""All tries take about five minutes."""

Sleep = Callable[[float], None]


class LockedError(Exception):
    """A table stayed locked by others. The message says what to look at."""


def migrate(
    database_url: str, *, service: str, runtime_role: str | None = None, sleep: Sleep = time.sleep
) -> int:
    """Runs the missing migrations of `services/<service>/migrations`. Returns the number of the newest it has.

    `runtime_role` is the role that the service's processes connect as, if that is another one: it is granted what
    they need together with the newest migration. Raises RoleError, LockedError.

    Waits for another runner of the same database. Each migration is one transaction; a failed one changes nothing.
    A database that a newer release migrated stays as it is.
    """
    # SQLAlchemy itself reads no address of several hosts.
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(database_url, **connection_parameters(database_url)),
        poolclass=sqlalchemy.NullPool,
    )
    newest = newest_known(service)
    try:
        with engine.connect() as connection:
            _await_turn(connection, sleep)
            sqlalchemy.event.listen(connection, "begin", _limit_waiting)
            found = number_of(MigrationContext.configure(connection).get_current_revision())
            connection.commit()
            if found < newest:
                config = _config(service, connection, runtime_role)
                _insist(connection, partial(command.upgrade, config, "head"), sleep)
            elif found == newest and runtime_role is not None:
                _insist(connection, partial(_grant, connection, runtime_role), sleep)
            return max(found, newest)
    finally:
        engine.dispose()


def _await_turn(connection: Connection, sleep: Sleep) -> None:
    # Asked again and again: whoever waits inside a statement is waited for by CREATE INDEX CONCURRENTLY of the other runner.
    attempt = text("SELECT pg_try_advisory_lock(:number)")
    while not connection.scalar(attempt, {"number": LOCK_NUMBER}):
        connection.rollback()
        sleep(RUNNER_POLL_SECONDS)
    connection.commit()


def _limit_waiting(connection: Connection) -> None:
    """Makes a transaction give up a lock that it does not get soon. What runs outside one may wait: it blocks nobody."""
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MS}ms'")
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s'")


def _config(service: str, connection: Connection, runtime_role: str | None) -> Config:
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("services.common.postgres") / "migration_runner")
    )
    config.set_main_option("version_locations", str(resources.files(f"services.{service}") / "migrations"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    config.attributes["applied"] = partial(_grant_at, newest_known(service), runtime_role)
    return config


def _grant_at(newest: int, runtime_role: str | None, *, ctx: Any, step: Any, **_: Any) -> None:
    """Grants in the newest migration's own transaction: whoever sees its number may use its tables."""
    if runtime_role is not None and number_of(step.up_revision_id) == newest:
        grant_use(ctx.connection, runtime_role)


def _grant(connection: Connection, runtime_role: str) -> None:
    grant_use(connection, runtime_role)
    connection.commit()


def _insist(connection: Connection, run: Callable[[], None], sleep: Sleep) -> None:
    """Runs something again until it got all its locks. What it committed before stays."""
    for attempt in range(1, TRIES_MAX + 1):
        try:
            run()
        except sqlalchemy.exc.OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            connection.rollback()
        else:
            return
        sleep(backoff_seconds(attempt, first=TRY_AGAIN_SECONDS_FIRST, most=TRY_AGAIN_SECONDS_MAX))
    raise LockedError(
        f"A table was locked by others at each of {TRIES_MAX} tries. End the oldest transactions that "
        "pg_stat_activity shows by xact_start, or let them end, and migrate again."
    )
