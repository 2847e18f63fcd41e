"""Wake-ups between processes over LISTEN/NOTIFY. Losing one costs at most one poll interval."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection, sql

from services.common.backoff import backoff_seconds
from services.common.loop import end
from services.common.postgres.connection import connection_parameters

log = logging.getLogger(__name__)

_NOTIFY = b"SELECT pg_notify(name, payload) FROM unnest(CAST(%s AS text[]), CAST(%s AS text[])) AS due (name, payload)"
DEBOUNCE_SECONDS = 0.02
RECONNECT_SECONDS_MAX = 2.0
PAYLOAD_BYTES_MAX = 7_999
"""PostgreSQL's own limit."""
WORD_BYTES_MAX = 200
WORDS_MAX = 20_000
"""Words of one topic that wait to be published. Further words reach this process only."""

Subscriber = Callable[[Collection[str]], None]
"""Takes words as they arrive, in no order, some of them twice. Never blocks, never fails."""


class Notifier:
    """Events by channel name, and topics for words: both reach this process at once and, debounced, all others.

    NOTIFY takes a global lock at commit, so it never runs inside a business transaction: one task of this process
    sends what has collected within DEBOUNCE_SECONDS, on its own connection.
    """

    def __init__(self, channels: Iterable[str], *, topics: Iterable[str] = ()) -> None:
        self._events = {channel: asyncio.Event() for channel in channels}
        self._subscribers: dict[str, list[Subscriber]] = {topic: [] for topic in topics}
        assert self._events.keys().isdisjoint(self._subscribers), "a name is a channel or a topic"
        self._due: set[str] = set()
        self._words: dict[str, set[str]] = {topic: set() for topic in self._subscribers}
        self._notifying = asyncio.Event()
        self._sender_pid = 0

    def event(self, channel: str) -> asyncio.Event:
        """Returns the event that is set when the channel is notified. The waiter clears it."""
        return self._events[channel]

    def notify(self, channel: str) -> None:
        """Wakes everything that waits for the channel, here and in other processes. Never blocks, never fails."""
        self._events[channel].set()
        self._due.add(channel)
        self._notifying.set()

    def subscribe(self, topic: str, subscriber: Subscriber) -> None:
        """Sends `subscriber` every word of a topic, from this process and from others."""
        self._subscribers[topic].append(subscriber)

    def publish(self, topic: str, word: str) -> None:
        """Publishes a word without spaces to all subscribers, here and in other processes. Never blocks."""
        assert len(word.encode()) <= WORD_BYTES_MAX, word
        self._pass_on(topic, (word,))
        if len(self._words[topic]) < WORDS_MAX:
            self._words[topic].add(word)
            self._notifying.set()

    async def send(self, connection: AsyncConnection) -> None:
        """Sends to other processes what was notified and published here, until cancelled."""
        self._sender_pid = connection.info.backend_pid
        while True:
            await self._notifying.wait()
            await asyncio.sleep(DEBOUNCE_SECONDS)
            self._notifying.clear()
            due = self.take_due()
            await connection.execute(_NOTIFY, ([name for name, _ in due], [payload for _, payload in due]))

    async def receive(self, connection: AsyncConnection) -> None:
        """Notifies and publishes here what other processes sent, until cancelled."""
        for channel in (*self._events, *self._subscribers):
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        async for notice in connection.notifies():
            if notice.pid == self._sender_pid:
                continue
            if notice.channel in self._events:
                self._events[notice.channel].set()
            else:
                self._pass_on(notice.channel, notice.payload.split())

    def take_due(self) -> list[tuple[str, str]]:
        """Returns channel and payload of every notice that is due, and forgets them."""
        due, self._due = self._due, set()
        notices = [(channel, "") for channel in due]
        for topic, words in self._words.items():
            notices += ((topic, payload) for payload in payloads(words))
            words.clear()
        return notices

    def _pass_on(self, topic: str, words: Collection[str]) -> None:
        for subscriber in self._subscribers[topic]:
            subscriber(words)


def payloads(words: Iterable[str]) -> Iterator[str]:
    """Returns words in as few texts as PostgreSQL takes."""
    payload = ""
    for word in words:
        longer = f"{payload} {word}" if payload else word
        if len(longer.encode()) > PAYLOAD_BYTES_MAX:
            yield payload
            longer = word
        payload = longer
    if payload:
        yield payload


@asynccontextmanager
async def open_notifier(
    url: str, channels: Iterable[str], *, name: str, topics: Iterable[str] = ()
) -> AsyncIterator[Notifier]:
    """Runs wake-ups on two connections of their own, reopened whenever they break. PostgreSQL knows them by `name`."""
    notifier = Notifier(channels, topics=topics)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_keep(url, side, name=name)) for side in (notifier.send, notifier.receive)]
        try:
            yield notifier
        finally:
            await end(*tasks)


async def _keep(url: str, side: Callable[[AsyncConnection], Awaitable[None]], *, name: str) -> None:
    parameters = {"application_name": name, **connection_parameters(url)}
    failures = 0
    while True:
        try:
            async with await AsyncConnection.connect(url, autocommit=True, **parameters) as connection:
                failures = 0
                await side(connection)
        except psycopg.Error as error:
            failures += 1
            log.warning("wakeups interrupted: %s", error)
            await asyncio.sleep(backoff_seconds(failures, first=0.1, most=RECONNECT_SECONDS_MAX))
