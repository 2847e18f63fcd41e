"""Checks that are gone through page by page, and the duty that repeats all of them in an endless loop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import quote, unquote

from services.common.loop import Duty
from services.common.paging import invalid_token
from services.common.verification.round_metrics import RoundMetrics

log = logging.getLogger(__name__)

ROWS_PER_PAGE_MAX = 1_000
PAUSE_SECONDS = 1.0
"""After each page that the duty checks, at least. A page takes some 50 ms."""
RESTS = 19
"""How many times as long as a page took the duty rests at least: a twentieth of one core, also where an account has much to
recount. Besides, a balance that changes while a page is read becomes dearer to change: its old versions have to stay."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Rows that do not agree with each other."""

    rule: str
    row: str
    """Its table and key."""
    detail: str
    """What was expected and what is there."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a check found in rows that follow one another."""

    findings: Sequence[Finding]
    checked_count: int
    last_key: Sequence[str] | None
    """Of the last row, as text. None: no row follows."""


@dataclass(frozen=True)
class KeyPart:
    """A column of the key by which a check goes through its rows."""

    parse: Callable[[str], Any]
    """Raises ValueError."""
    start: str
    """Sorts before what any row has."""


def _whole_number(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**63:
        raise ValueError(text)
    return value


TEXT = KeyPart(str, "")
NUMBER = KeyPart(_whole_number, "0")
DAY = KeyPart(date.fromisoformat, "0001-01-01")
MOMENT = KeyPart(datetime.fromisoformat, "0001-01-01 00:00:00+00")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing to check, over rows in the order of their key."""

    read: Callable[..., Awaitable[Page]]
    """Called with the key after which the page begins, and `rows_max`."""
    key: Sequence[KeyPart]


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found in one page, and where the next begins."""

    findings: Sequence[Finding]
    checked_count: int
    next_page_token: str | None
    """None: everything has been checked."""


Verify = Callable[[str | None], Awaitable[Verified]]
"""Checks the page that begins at a cursor; None begins a round."""


async def verify_page(
    cursor: str | None, *, checks: Mapping[str, Check], rows_max: int = ROWS_PER_PAGE_MAX
) -> Verified:
    """Checks the page at a cursor, of at most `rows_max` rows. Refuses an invalid cursor with INVALID_FIELD."""
    names = list(checks)
    name, after = _parse(_start(names[0], checks) if cursor is None else cursor, checks)
    page = await checks[name].read(after, rows_max=rows_max)
    following: str | None = None
    if page.last_key is not None:
        following = _render(name, page.last_key)
    elif name != names[-1]:
        following = _start(names[names.index(name) + 1], checks)
    return Verified(findings=page.findings, checked_count=page.checked_count, next_page_token=following)


class Rounds:
    """Goes through all pages, round after round, and logs and counts what it finds."""

    def __init__(self, verify: Verify, *, checks: Sequence[str], amounts: Collection[str]) -> None:
        """`checks` and `amounts` are those of RoundMetrics."""
        self._verify = verify
        self._first = checks[0]
        self._metrics = RoundMetrics(checks, amounts=amounts)
        self._cursor: str | None = None

    async def run_once(self) -> int:
        """Checks the next page, and rests after a long one. Returns 0, so that a pause always follows."""
        clock = asyncio.get_running_loop().time
        started = clock()
        verified = await self._verify(self._cursor)
        took = clock() - started
        for found in verified.findings:
            log.error('ledger finding rule=%s row="%s" %s', found.rule, found.row, found.detail)
        check = self._first if self._cursor is None else self._cursor.partition("/")[0]
        self._metrics.found(check, [(found.rule, found.detail) for found in verified.findings])
        self._cursor = verified.next_page_token
        if self._cursor is None:
            self._metrics.end_round()
        await asyncio.sleep(max(RESTS * took - PAUSE_SECONDS, 0.0))
        return 0


def verifying(verify: Verify, *, checks: Sequence[str], amounts: Collection[str]) -> Duty:
    """Returns the duty that checks page after page, with rests between them, in an endless loop.

    `checks` are the names of its checks in their order, `amounts` the rules that compare micro-credits.

    Every replica performs it: it changes nothing, so two of them only find the same.
    """
    return Duty("verify", Rounds(verify, checks=checks, amounts=amounts).run_once, idle_seconds=PAUSE_SECONDS)


def _start(name: str, checks: Mapping[str, Check]) -> str:
    return _render(name, [part.start for part in checks[name].key])


def _render(name: str, key: Sequence[str]) -> str:
    return "/".join(quote(part, safe="") for part in (name, *key))


def _parse(cursor: str, checks: Mapping[str, Check]) -> tuple[str, list[Any]]:
    try:
        name, *texts = (unquote(part, errors="strict") for part in cursor.split("/"))
        if name not in checks or any("\0" in text for text in texts):
            raise ValueError(cursor)
        return name, [part.parse(text) for part, text in zip(checks[name].key, texts, strict=True)]
    except ValueError as error:
        raise invalid_token(cursor) from error
