"""Going from page to page, and what the duty does with what it finds."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from services.common.errors import Reason, ServiceError
from services.common.verification.checks import (
    DAY,
    MOMENT,
    NUMBER,
    PAUSE_SECONDS,
    RESTS,
    TEXT,
    Check,
    Finding,
    Page,
    Rounds,
    Verified,
    verify_page,
)
from tests.unit.common.virtual_time import run_virtually

WORDS = ["a/b", "ä", "é\u2028", "z"]
WRONG = Finding(rule="off", row="words z", detail="expected y, found z")


async def read_words(after: Sequence[Any], *, rows_max: int) -> Page:
    page = [word for word in sorted(WORDS) if word > after[0]][:rows_max]
    return Page(
        findings=[WRONG] if "z" in page else [],
        checked_count=len(page),
        last_key=[page[-1]] if len(page) == rows_max else None,
    )


async def read_nothing(after: Sequence[Any], *, rows_max: int) -> Page:
    return Page(findings=[], checked_count=0, last_key=None)


CHECKS = {
    "words": Check(read=read_words, key=(TEXT,)),
    "numbers": Check(read=read_nothing, key=(TEXT, NUMBER)),
    "days": Check(read=read_nothing, key=(DAY, MOMENT)),
}


@pytest.mark.parametrize("rows_max", [1, 2, 3, 4, 5])
async def test_all_rows_of_all_checks_are_seen_once_whatever_their_keys(rows_max: int) -> None:
    cursor, checked_count = None, 0
    findings: list[Finding] = []

    for _ in range(20):
        verified = await verify_page(cursor, checks=CHECKS, rows_max=rows_max)
        checked_count += verified.checked_count
        findings += verified.findings
        cursor = verified.next_page_token
        if cursor is None:
            break

    assert cursor is None
    assert checked_count == len(WORDS)
    assert findings == [WRONG]


@pytest.mark.parametrize(
    "cursor",
    [
        "", "people/a", "words", "words/a/b", "words/%00", "words/%ff", "numbers/a/one", "numbers/a/-1",
        f"numbers/a/{2**63}", "days/today/2026-01-01 00:00:00+00", "days/2026-01-01/now",
    ],
)  # fmt: skip
async def test_an_invalid_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        await verify_page(cursor, checks=CHECKS)

    assert refusal.value.reason is Reason.INVALID_FIELD
    assert refusal.value.metadata == {"field": "page_token"}


async def test_the_duty_goes_round_page_by_page_and_logs_each_finding_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked: list[str | None] = []

    async def verify(cursor: str | None) -> Verified:
        asked.append(cursor)
        return Verified(
            findings=[WRONG] if cursor is None else [],
            checked_count=1,
            next_page_token="second" if cursor is None else None,
        )

    rounds = Rounds(verify, checks=["words", "second"], amounts=[])
    with caplog.at_level(logging.ERROR):
        done = [await rounds.run_once() for _ in range(4)]

    assert asked == [None, "second", None, "second"]
    assert done == [0] * 4
    assert caplog.messages == ['ledger finding rule=off row="words z" expected y, found z'] * 2


@pytest.mark.parametrize(("page_seconds", "seconds"), [(0.0, 0.0), (0.05, 0.0), (0.5, 8.5), (2.0, 37.0)])
def test_the_duty_takes_a_twentieth_of_the_time_however_long_its_pages_take(
    page_seconds: float, seconds: float
) -> None:
    async def verify(_: str | None) -> Verified:
        await asyncio.sleep(page_seconds)
        return Verified(findings=[], checked_count=1, next_page_token=None)

    async def rested() -> float:
        clock = asyncio.get_running_loop().time
        started = clock()
        await Rounds(verify, checks=["words"], amounts=[]).run_once()
        return clock() - started - page_seconds

    rest = run_virtually(rested())

    assert rest == pytest.approx(seconds)
    assert rest + PAUSE_SECONDS >= RESTS * page_seconds
