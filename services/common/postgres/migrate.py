"""Brings a service's database to the newest version: Alembic, one runner at a time."""

from importlib import resources

import sqlalchemy
from alembic import command
from alembic.config import Config

from services.common.postgres.runtime_role import grant_use

LOCK_NUMBER = 7_266_428
"""Of the advisory lock that keeps two runners apart."""


def migrate(database_url: str, *, service: str, runtime_role: str | None = None) -> None:
    """Runs the missing migrations of `services/<service>/migrations`.

    `runtime_role` is the role that the service's processes connect as, if that is another one: it is granted what
    they need. Raises RoleError.

    Waits for another runner of the same database. Each migration is one transaction; a failed one changes nothing.
    """
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("services.common.postgres") / "migration_runner")
    )
    config.set_main_option("version_locations", str(resources.files(f"services.{service}") / "migrations"))
    config.set_main_option("path_separator", "newline")
    url = sqlalchemy.make_url(database_url).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:number)"), {"number": LOCK_NUMBER})
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if runtime_role is not None:
            grant_use(connection, runtime_role)
        connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:number)"), {"number": LOCK_NUMBER})
    engine.dispose()
