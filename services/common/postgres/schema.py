"""The version of a database's tables: the number of the newest migration that it has.

Migrations follow one another by their numbers, so whoever needs number 11 is served by each that is not lower, those of
a newer release included: a release works on the schema of the next one.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from importlib import resources

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege, UndefinedTable

from services.common.postgres.connection import connection_parameters

log = logging.getLogger(__name__)

POLL_SECONDS_FIRST, POLLS_FIRST = 0.25, 40
POLL_SECONDS = 1.0
"""Until the schema is there: often at first, because processes and migrations mostly start together."""
WAIT_SECONDS_MAX = 300.0
"""For `wait-migrated`. Whoever started it sees that it failed, and starts it again."""
Sleep = Callable[[float], Awaitable[None]]
_NUMBERED = re.compile(r"^(\d{4})_\w+\.py$")


def newest_known(service: str) -> int:
    """Returns the number of the newest migration in `services/<service>/migrations`: what this release needs."""
    files = (resources.files(f"services.{service}") / "migrations").iterdir()
    return max(int(found[1]) for found in (_NUMBERED.match(file.name) for file in files) if found)


def number_of(revision: str | None) -> int:
    """Returns the number of a revision as it stands in the database; 0 before the first. Raises ValueError."""
    return 0 if revision is None else int(revision)


async def find_gap(url: str, *, service: str) -> str | None:
    """Returns what is missing before this release can use the database, as a clause, or None if nothing is."""
    needed, command = newest_known(service), f"`python -m services.{service} migrate`"
    try:
        revision = await _revision(url)
        found = number_of(revision)
    except UndefinedTable:
        return f"the database has no schema yet; {command} makes it"
    except InsufficientPrivilege:
        return (
            "the role may not use the tables; "
            f"{command} with {service.upper()}_MIGRATION_DATABASE_URL grants it what it needs"
        )
    except psycopg.Error as error:
        return f"the database cannot be reached: {first_line(error)}"
    except ValueError:
        return f"the schema is at {revision!r}, which is not the number of a migration of {service}"
    if found < needed:
        return f"the schema is at {found:04d} and this release needs {needed:04d}; {command} brings it there"
    return None


async def until_migrated(find: Callable[[], Awaitable[str | None]], *, sleep: Sleep = asyncio.sleep) -> None:
    """Returns once `find` finds nothing missing. Logs what it waits for whenever that changes."""
    said: str | None = None
    polls = 0
    while (gap := await find()) is not None:
        if gap != said:
            log.warning("waiting: %s", gap)
            said = gap
        polls += 1
        await sleep(POLL_SECONDS_FIRST if polls <= POLLS_FIRST else POLL_SECONDS)
    if said is not None:
        log.info("the schema is there")


def first_line(error: Exception) -> str:
    """Returns an error of the database in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


async def _revision(url: str) -> str | None:
    connection = await AsyncConnection.connect(url, autocommit=True, **connection_parameters(url))
    async with connection:
        row = await (await connection.execute("SELECT max(version_num) FROM alembic_version")).fetchone()
    return None if row is None else row[0]
