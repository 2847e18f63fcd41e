"""A database that the tests of one module share, because they only read what was once done to it."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.conftest import cluster


@contextmanager
def module_database(port: int, template: str) -> Iterator[str]:
    """Yields the address of a copy of a migrated template."""
    name = sql.Identifier(f"module_{template}")
    with psycopg.connect(cluster(port).url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template)))
        try:
            yield cluster(port).url(f"module_{template}")
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def execute_unguarded(url: str, change: str) -> None:
    """Changes what neither triggers nor foreign keys allow to be changed."""
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(change.encode())
