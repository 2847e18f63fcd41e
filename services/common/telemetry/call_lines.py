"""One line for each call: gathered, and written together after GATHER_SECONDS at most.

They look as if `logging` had made them. Almost all lines of a process are of this kind, and making a record of each,
formatting it and writing it at once took more time than the rest of the middleware.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

LOGGER = "reelgate.call"
GATHER_SECONDS = 0.05
LINES_MAX = 1_000
"""So many lines are written at once, without waiting longer."""


class CallLine(NamedTuple):
    """What is said of a call that ended."""

    ended_at: float
    """Seconds since 1970."""
    method: str
    code: str
    duration_ms: float
    request_id: str
    trace_id: str
    account: str


Note = Callable[[CallLine], None]


class _Noting:
    note: Note | None = None


_noting = _Noting()


def note_call(line: CallLine) -> None:
    """Has a line written, in a process that writes lines."""
    if _noting.note is not None:
        _noting.note(line)


def send_lines_to(note: Note | None) -> Note | None:
    """Decides where lines go. Returns where they went before. None: nowhere."""
    before, _noting.note = _noting.note, note
    return before


@contextmanager
def lines_sent_to(note: Note) -> Iterator[None]:
    """Decides where lines go until the block ends."""
    before = send_lines_to(note)
    try:
        yield
    finally:
        send_lines_to(before)


class Gathered:
    """Lines that are about to be written."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._lines: deque[CallLine] = deque()
        self._is_due = False

    def note(self, line: CallLine) -> None:
        """Takes a line, and has all of them written in time. Only inside an event loop."""
        self._lines.append(line)
        if len(self._lines) >= LINES_MAX:
            self._flush()
        elif not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._due)

    def take(self) -> list[CallLine]:
        """Returns the lines so far, to be written. One thread at a time may ask, while another notes some."""
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def _due(self) -> None:
        self._is_due = False
        self._flush()


def as_text(line: CallLine) -> str:
    """Returns a line for people."""
    second, milliseconds = _moment(line.ended_at)
    return (
        f"{_local(second)},{milliseconds:03d} INFO {LOGGER} method={line.method} code={line.code} "
        f"duration_ms={line.duration_ms:.1f} request_id={line.request_id}\n"
    )


def as_json(line: CallLine) -> str:
    """Returns a line as one object of JSON."""
    second, milliseconds = _moment(line.ended_at)
    members: dict[str, Any] = {
        "time": f"{_utc(second)}.{milliseconds:03d}+00:00",
        "level": "info",
        "logger": LOGGER,
        "method": line.method,
        "code": line.code,
        "duration_ms": line.duration_ms,
        "request_id": line.request_id,
    }
    if line.trace_id:
        members["trace_id"] = line.trace_id
    if line.account:
        members["account"] = line.account
    return json.dumps(members) + "\n"


def _moment(at: float) -> tuple[int, int]:
    second = int(at)
    return second, int((at - second) * 1000)


@lru_cache(maxsize=4)
def _local(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


@lru_cache(maxsize=4)
def _utc(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
