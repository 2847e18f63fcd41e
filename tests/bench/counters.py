"""What PostgreSQL counts: statements, commits and fsyncs. Whole numbers, the same on a busy machine."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg

from services.devstack.folder import StackFolder
from tests.bench.report import Row
from tests.e2e.local_stack import Stack

FLUSH_SECONDS = 11.0
"""A connection that rests tells its counters after ten seconds."""
_COMMITS = "SELECT coalesce(sum(xact_commit), 0) FROM pg_stat_database WHERE datname = ANY (%s)"
_FSYNCS = "SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal'"
_STATEMENT = re.compile(r"^[^\[\n]+\[\d+\] LOG:  (?:statement|execute [^:\n]*):\s*(\w+)", re.MULTILINE)
_OF_TRANSACTIONS = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"})


Run = Callable[[], Awaitable[int]]
"""Does something many times, and returns how often."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Since the beginning, or for each time that something was done."""

    statements: float
    commits: float
    fsyncs: float
    at: float
    """When it was read, in seconds."""


def count_statements(log: str) -> int:
    """Returns how many statements a log of all statements tells of, without those that only frame transactions."""
    return sum(match[1].upper() not in _OF_TRANSACTIONS for match in _STATEMENT.finditer(log))


def for_each(count: int, rest: Counted, before: Counted, after: Counted) -> dict[str, float]:
    """Returns what was counted for each of `count` times, without what goes on from `rest` to `before` and later, too."""
    share = (after.at - before.at) / (before.at - rest.at)
    return {
        name: max(
            0.0,
            (
                getattr(after, name)
                - getattr(before, name)
                - share * (getattr(before, name) - getattr(rest, name))
            )
            / count,
        )
        for name in ("statements", "commits", "fsyncs")
    }


class Counters:
    """Counts in some databases of a stack. Statements, which are those in its log, and fsyncs are the whole cluster's."""

    def __init__(self, stack: Stack, databases: Sequence[str]) -> None:
        self._url = stack.cluster().url()
        self._databases = list(databases)
        self._log = StackFolder(stack.folder).logs / "postgres.log"

    async def count(self, run: Run) -> dict[str, float]:
        """Returns what each time of a run costs, without what goes on anyway. Nothing else may go on."""
        async with self._statements_logged():
            rest, before = await self._read(), await self._read()
            count = await run()
            return for_each(count, rest, before, await self._read())

    async def rows(
        self, what: str, run: Run, *, musts: Sequence[float | None] = (), goals: Sequence[float | None] = ()
    ) -> list[Row]:
        """Counts, and returns a row for statements, one for commits and one for fsyncs."""
        counted = await self.count(run)
        nothing = (None,) * len(counted)
        return [
            Row(name=f"{what}: {name}", measured=measured, must=must, goal=goal, better="lower")
            for (name, measured), must, goal in zip(
                counted.items(), musts or nothing, goals or nothing, strict=True
            )
        ]

    @asynccontextmanager
    async def _statements_logged(self) -> AsyncIterator[None]:
        """Has PostgreSQL log each statement. That costs time: never while time is taken."""
        await asyncio.to_thread(self._set_logging, "all")
        try:
            yield
        finally:
            await asyncio.to_thread(self._set_logging, "none")

    def _set_logging(self, value: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET log_statement = '{value}'".encode())
            connection.execute("SELECT pg_reload_conf()")

    async def _read(self) -> Counted:
        """Waits until all connections, which must rest, have told what they did."""
        await asyncio.sleep(FLUSH_SECONDS)
        return await asyncio.to_thread(self._read_now)

    def _read_now(self) -> Counted:
        with psycopg.connect(self._url, autocommit=True) as connection:
            [commits] = connection.execute(_COMMITS, (self._databases,)).fetchone() or (0,)
            [fsyncs] = connection.execute(_FSYNCS).fetchone() or (0,)
        statements = count_statements(self._log.read_text(encoding="utf-8", errors="replace"))
        return Counted(statements=statements, commits=int(commits), fsyncs=int(fsyncs), at=time.monotonic())
