"""What a stack keeps for itself: its folder, and its database."""

import stat
from pathlib import Path

import psycopg
import pytest

from services.common.postgres.database import open_pool
from tests.e2e.local_stack import Stack

MEANT_FOR_ALL = {"media", "simulator", "postgres", "envoy.json", "stack.lock"}
"""Videos, a cluster that has a lock of its own, what the edge was started with, and a process number."""


def _open_to_others(folder: Path) -> list[str]:
    kept = [path for path in folder.iterdir() if path.name not in MEANT_FOR_ALL]
    files = [inner for path in kept for inner in (path, *path.rglob("*"))]
    return [str(path.relative_to(folder)) for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_nobody_else_reads_secrets_logs_and_state(stack: Stack) -> None:
    stack.until_ready()

    assert {"secrets", "logs", "stack.json"} <= {path.name for path in stack.folder.iterdir()}
    assert _open_to_others(stack.folder) == []
    assert not stack.folder.stat().st_mode & 0o066


def test_every_service_is_a_role_that_owns_nothing(stack: Stack) -> None:
    stack.until_ready()

    with psycopg.connect(stack.cluster().url()) as connection:
        used = connection.execute(
            """SELECT DISTINCT datname, usename FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname <> 'postgres'"""
        ).fetchall()
    assert {("billing", "billing"), ("jobs", "jobs"), ("webhooks", "webhooks")} <= set(used)
    assert all(database == role for database, role in used)


@pytest.mark.parametrize("service", ["billing", "jobs", "webhooks"])
async def test_a_service_cannot_rewrite_its_audit(stack: Stack, service: str) -> None:
    url = stack.until_ready()["database"][service]

    async with open_pool(url, name="tests", connections_max=1) as pool, pool.connection() as connection:
        for change in ("DELETE FROM audit", "ALTER TABLE audit DISABLE TRIGGER ALL", "DROP TABLE audit"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(change.encode())


def test_status_shows_no_password_to_people(stack: Stack) -> None:
    passwords = [path.read_text() for path in (stack.folder / "secrets").glob("*_database_password")]

    shown = stack.run("status").stdout

    assert len(passwords) == 4
    assert not [password for password in passwords if password in shown]
