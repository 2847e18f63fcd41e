"""Rows by their keys, over a connection that the loop itself listens to: no task, cursor or pool takes part.

Keys that are asked for while a statement runs, or at nearly the same time as others, share the next. As long as the
connection is away there are no answers, and nobody waits for them: whoever asks then turns to a pool.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
from psycopg.rows import DictRow

from services.common.backoff import backoff_seconds
from services.common.gathering import Gathering
from services.common.loop import running
from services.common.postgres.connection import PrimaryConnection, connection_parameters
from services.common.postgres.database import Query, begin_session
from services.common.postgres.line import Line

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.002
"""From one statement to the next, at the most, where many ask."""
STATEMENT_TIMEOUT_MS = 2_000
"""Shorter than a pool's: whoever waited so long asks a pool next."""
OPENING_SECONDS_MAX = 15.0
LIFETIME_SECONDS = 3_600.0
"""Then the connection is opened again, as those of pools are: its address may lead elsewhere by now."""
RECONNECT_SECONDS_FIRST, RECONNECT_SECONDS_MAX = 0.1, 2.0
_ONE, _SEVERAL = "one", "several"

Asked = tuple[str, "asyncio.Future[DictRow | None]"]


class NoAnswerError(Exception):
    """The reader's connection cannot tell. A pool's may."""


@dataclass(frozen=True, kw_only=True)
class KeyedRows:
    """What is read: at most one row for each key. Both statements take nothing else, and return the same columns."""

    key: str
    """The column that has the keys, which are texts."""
    one: Query
    """Takes one key."""
    several: Query
    """Takes a list of keys."""
    keys_max: int
    """Of one statement."""


class Reader:
    """Finds rows by their keys, each as it is when it is asked for or later."""

    def __init__(self, rows: KeyedRows) -> None:
        self._rows = rows
        self._loop = asyncio.get_running_loop()
        self._line: Line | None = None
        self._lost: asyncio.Future[None]
        self._failures = 0
        self._waiting: deque[Asked] = deque()
        self._asked: list[Asked] = []
        self._gathering = Gathering(self._ask, pause_seconds=PAUSE_SECONDS)

    def find(self, key: str) -> "asyncio.Future[DictRow | None]":
        """Returns the row with a key, if there is one. Raises NoAnswerError, here or where it is awaited."""
        if self._line is None:
            raise NoAnswerError
        answer: asyncio.Future[DictRow | None] = self._loop.create_future()
        self._waiting.append((key, answer))
        self._gathering.came(waiting=len(self._waiting), under_way=len(self._asked))
        return answer

    async def keep(self, url: str, *, name: str) -> None:
        """Keeps a connection open until cancelled. PostgreSQL knows it by `name`."""
        while True:
            try:
                async with asyncio.timeout(OPENING_SECONDS_MAX):
                    connection = await self._open(url, name)
                await self._serve(connection)
            except (psycopg.Error, TimeoutError, OSError) as error:
                self._failures += 1
                log.warning("reader=%s interrupted: %s", name, error)
                pause = backoff_seconds(
                    self._failures, first=RECONNECT_SECONDS_FIRST, most=RECONNECT_SECONDS_MAX
                )
                await asyncio.sleep(pause)

    async def _open(self, url: str, name: str) -> PrimaryConnection:
        parameters = {"application_name": name, **connection_parameters(url)}
        connection = await PrimaryConnection.connect(url, autocommit=True, **parameters)
        try:
            await begin_session(connection, statement_timeout_ms=STATEMENT_TIMEOUT_MS, plans_once=True)
            await connection.execute(self._rows.one.prepared_as(_ONE), prepare=False)
            await connection.execute(self._rows.several.prepared_as(_SEVERAL), prepare=False)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _serve(self, connection: PrimaryConnection) -> None:
        """Finds rows over a connection until it is old. Raises what it breaks with."""
        self._lost = self._loop.create_future()
        self._line = Line(connection, answered=self._answer, broken=self._lose)
        try:
            await asyncio.wait((self._lost,), timeout=LIFETIME_SECONDS)
        finally:
            self._hang_up()
        if self._lost.done():
            self._lost.result()

    def _ask(self) -> None:
        if (line := self._line) is None:
            return
        while self._waiting and len(self._asked) < self._rows.keys_max:
            asked = self._waiting.popleft()
            if not asked[1].done():
                self._asked.append(asked)
        keys = list({key for key, _ in self._asked})
        try:
            if len(keys) == 1:
                line.ask(_ONE.encode(), keys[0])
            elif keys:
                line.ask(_SEVERAL.encode(), keys)
        except psycopg.Error as error:
            self._lose(error)

    def _answer(self, rows: list[DictRow]) -> None:
        asked, self._asked = self._asked, []
        self._failures = 0
        found = {row[self._rows.key]: row for row in rows}
        for key, answer in asked:
            if not answer.done():
                answer.set_result(found.get(key))
        self._gathering.ended(waiting=len(self._waiting))

    def _lose(self, error: psycopg.Error) -> None:
        self._hang_up()
        self._lost.set_exception(error)

    def _hang_up(self) -> None:
        """Leaves the connection, if there is one. Whoever waits learns that there will be no answer."""
        if self._line is None:
            return
        self._line.close()
        self._line = None
        for _, answer in (*self._asked, *self._waiting):
            if not answer.done():
                answer.set_exception(NoAnswerError())
        self._asked.clear()
        self._waiting.clear()


@asynccontextmanager
async def open_reader(url: str, rows: KeyedRows, *, name: str) -> AsyncIterator[Reader]:
    """Opens a reader, whose connection comes when it comes and comes back whenever it breaks."""
    reader = Reader(rows)
    async with running(reader.keep(url, name=name)):
        yield reader
