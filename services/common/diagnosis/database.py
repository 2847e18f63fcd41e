"""What the processes of a service need of their database."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from services.common.clock import Clock
from services.common.diagnosis.findings import Finding
from services.common.postgres.connection import connection_parameters
from services.common.postgres.schema import find_gap, first_line

CLOCK_SKEW_MAX = timedelta(seconds=2)
"""Between this machine and the database. Signatures and addresses that expire name a process's time."""
SUBJECT = "database"
TRANSACTION_POOLING = Finding(
    subject=SUBJECT,
    problem="two sessions share one connection: a pooler in transaction mode stands before it",
    remedy="Connect to PostgreSQL itself, or through a pooler in session mode: wake-ups, locks of a session and its "
    "timeouts need a session of their own",
)

_ROLE = """
SELECT current_user AS name, rolsuper OR EXISTS (
    SELECT FROM pg_class WHERE relowner = pg_roles.oid AND relnamespace = CAST('public' AS regnamespace)
) OR EXISTS (
    SELECT FROM pg_class WHERE relnamespace = CAST('public' AS regnamespace)
        AND relowner <> pg_roles.oid AND pg_has_role(current_user, relowner, 'MEMBER')
) AS is_above FROM pg_roles WHERE rolname = current_user
"""
_UNUSABLE = """
SELECT relname FROM pg_class
WHERE relnamespace = CAST('public' AS regnamespace) AND relkind IN ('r', 'p') AND NOT relispartition
    AND NOT (has_table_privilege(oid, 'SELECT')
        AND (relname = 'alembic_version' OR has_table_privilege(oid, 'INSERT')))
ORDER BY relname
"""
_MISSING = (
    "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass('public.' || quote_ident(name)) IS NULL"
)


async def look_at_database(url: str, *, service: str, tables: Collection[str], clock: Clock) -> list[Finding]:
    """Looks at the way to the database, its role, its schema and its clock. `tables` are those that the code names."""
    try:
        async with await _connect(url) as connection, await _connect(url) as other:
            if await _number(connection) == await _number(other):
                return [TRANSACTION_POOLING]
            return [
                *await _look_at_clock(connection, clock),
                *await _look_at_schema(connection, url, service=service, tables=tables),
            ]
    except psycopg.Error as error:
        return [_unreachable(error)]


async def look_at_owner(owner_url: str, runtime_url: str) -> list[Finding]:
    """Looks at the address that only `migrate` uses."""
    owner, runtime = (conninfo_to_dict(url).get("user") for url in (owner_url, runtime_url))
    remedy = "Name the owner of the tables in MIGRATION_DATABASE_URL, and another role in DATABASE_URL"
    if owner == runtime:
        return [
            Finding(subject="owner", problem=f"migrations run as {owner}, as the processes do", remedy=remedy)
        ]
    try:
        async with await _connect(owner_url) as connection:
            [(may_create,)] = await _rows(connection, "SELECT has_schema_privilege('public', 'CREATE')")
    except psycopg.Error as error:
        return [
            Finding(subject="owner", problem=f"{owner} cannot connect: {first_line(error)}", remedy=remedy)
        ]
    if not may_create:
        return [Finding(subject="owner", problem=f"{owner} may not create tables", remedy=remedy)]
    return []


async def _connect(url: str) -> AsyncConnection:
    return await AsyncConnection.connect(url, autocommit=True, **connection_parameters(url))


def _unreachable(error: psycopg.Error) -> Finding:
    problem = first_line(error)
    if "read-only" in problem:
        return Finding(
            subject=SUBJECT,
            problem="it takes no writes: it is a standby, or was made read-only",
            remedy="Name the primary in DATABASE_URL, or all hosts of the cluster",
        )
    return Finding(
        subject=SUBJECT,
        problem=f"it cannot be reached: {problem}",
        remedy="Correct DATABASE_URL: host, port, database, role and password",
    )


async def _look_at_clock(connection: AsyncConnection, clock: Clock) -> list[Finding]:
    before = clock()
    [(now,)] = await _rows(connection, "SELECT clock_timestamp()")
    skew = max(before - now, now - clock(), timedelta())
    if skew <= CLOCK_SKEW_MAX:
        return []
    return [
        Finding(
            subject="clock",
            problem=f"this machine and the database are {skew.total_seconds():.1f} s apart",
            remedy="Let both keep time by NTP",
        )
    ]


async def _look_at_schema(
    connection: AsyncConnection, url: str, *, service: str, tables: Collection[str]
) -> list[Finding]:
    migrate = f"python -m services.{service} migrate"
    gap = await find_gap(url, service=service)
    if gap is not None:
        return [
            Finding(subject="schema", problem=gap.partition(";")[0], remedy=f"Run {migrate} of this release")
        ]
    missing = [name for (name,) in await _rows(connection, _MISSING, sorted(tables))]
    if missing:
        return [
            Finding(
                subject="schema",
                problem=f"it has no table {missing[0]}, so it is not the database of {service}",
                remedy="Correct DATABASE_URL",
            )
        ]
    return await _look_at_role(connection, service, migrate)


async def _look_at_role(connection: AsyncConnection, service: str, migrate: str) -> list[Finding]:
    [(role, is_above)] = await _rows(connection, _ROLE)
    setting = f"{service.upper()}_MIGRATION_DATABASE_URL"
    if is_above:
        return [
            Finding(
                subject="role",
                problem=f"{role} owns the tables or may do what their owner may, and so can rewrite the ledger and the audit",
                remedy=f"Create a role that owns nothing, name it in DATABASE_URL and the owner in {setting}, and run {migrate}",
            )
        ]
    unusable = [name for (name,) in await _rows(connection, _UNUSABLE)]
    if unusable:
        return [
            Finding(
                subject="role",
                problem=f"{role} may not use {', '.join(unusable)}",
                remedy=f"Run {migrate} with {setting}, which grants it what it needs",
            )
        ]
    return []


async def _number(connection: AsyncConnection) -> int:
    [(number,)] = await _rows(connection, "SELECT pg_backend_pid()")
    return int(number)


async def _rows(connection: AsyncConnection, statement: str, *values: object) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement.encode(), values or None)).fetchall()
