"""How long statements waited for a table, from the log of PostgreSQL."""

import re
from pathlib import Path

import psycopg

LOGGED_FROM_MS = 10
_SETTINGS = (
    "ALTER SYSTEM SET log_lock_waits = on",
    f"ALTER SYSTEM SET deadlock_timeout = '{LOGGED_FROM_MS}ms'",
    "SELECT pg_reload_conf()",
)
_WAITED = re.compile(r"acquired (\w+) on relation \d+ of database \d+ after ([\d.]+) ms")


def log_waits(url: str) -> None:
    """Makes a cluster log every wait for a lock of LOGGED_FROM_MS and more. Takes its superuser."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _SETTINGS:
            connection.execute(statement.encode())


def waits_ms(log: Path, *, since: int) -> list[float]:
    """Returns how long each statement waited for a table, from a position in the log on."""
    return [float(found[2]) for found in _WAITED.finditer(log.read_text(errors="replace")[since:])]
