"""Databases of tests: copies of migrated templates, emptied and used again if a test changed nothing but rows."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from services.common.postgres.migrate import migrate
from services.devstack.postgres import Cluster

_CATALOGS = (
    "pg_attribute", "pg_class", "pg_constraint", "pg_default_acl", "pg_extension", "pg_index", "pg_namespace",
    "pg_proc", "pg_statistic", "pg_trigger", "pg_type",
)  # fmt: skip
_SHARED = (
    "pg_database WHERE datname = current_database()",
    "pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
)
_ALL_BUT_ROWS = " UNION ALL ".join(
    f"SELECT count(*), max(xmin::text::bigint) FROM {catalog}"
    for catalog in (*_CATALOGS, *_SHARED, "alembic_version")
)
"""What there is, how it is set, and what is known of its contents. Any change leaves a younger row, or fewer."""
_TABLES = """SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
    AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"""
_END_OTHERS = """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""

State = list[Any]
"""What `_ALL_BUT_ROWS` says of a database."""


class Databases:
    """Gives databases of services on one cluster, and takes them back."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._templates: set[str] = set()
        self._free: defaultdict[str, list[tuple[str, State]]] = defaultdict(list)
        self._numbers = itertools.count(1)

    def template(self, service: str) -> str:
        """Returns the name of a migrated, empty database of a service, made once."""
        name = f"template_{service}"
        if service not in self._templates:
            self._cluster.ensure_database(name)
            migrate(self._cluster.url(name), service=service)
            self._templates.add(service)
        return name

    @contextmanager
    def taken(self, service: str) -> Iterator[str]:
        """Yields the name of an empty, migrated database of a service that nobody else has."""
        free = self._free[service]
        name, state = free.pop() if free else self._made(service)
        try:
            yield name
        finally:
            emptied = self._emptied(name, state)
            if emptied is None:
                self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)"), name)
            else:
                free.append((name, emptied))

    @contextmanager
    def copied(self, name: str) -> Iterator[str]:
        """Yields the name of a copy of a database that nobody uses at the moment, as a restore from a backup makes one."""
        copy = f"{name}_copy_{next(self._numbers)}"
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}"), copy, name)
        try:
            yield copy
        finally:
            self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)"), copy)

    def _made(self, service: str) -> tuple[str, State]:
        name, template = f"test_{service}_{next(self._numbers)}", self.template(service)
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"), name, template)
        with psycopg.connect(self._cluster.url(name)) as connection:
            return name, _state(connection)

    def _emptied(self, name: str, state: State) -> State | None:
        """Empties a database and returns its new state. None: it cannot be used again."""
        try:
            with psycopg.connect(self._cluster.url(name), autocommit=True) as connection:
                connection.execute(_END_OTHERS)
                if _state(connection) != state:
                    return None
                # Some tables refuse to be emptied.
                connection.execute("SET session_replication_role = replica")
                tables = sql.SQL(", ").join(sql.Identifier(table) for (table,) in connection.execute(_TABLES))
                connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(tables))
                return _state(connection)
        except psycopg.OperationalError:
            return None

    def _execute(self, statement: sql.SQL, *names: str) -> None:
        with psycopg.connect(self._cluster.url(), autocommit=True) as connection:
            connection.execute(statement.format(*map(sql.Identifier, names)))


def _state(connection: psycopg.Connection) -> State:
    return connection.execute(_ALL_BUT_ROWS).fetchall()
