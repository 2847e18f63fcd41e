"""What videos cost, and what usage and balance say about it."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.e2e.contract.conftest import (
    COMPLETED,
    CREDITS,
    CREDITS_GRANTED,
    FAILURES,
    UNFINISHED,
    History,
)
from tests.e2e.customer import ENDED, SMALL, VIDEOS, data_of, open_customer
from tests.e2e.local_stack import Stack
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED_LATER = "[simulate: moderated prompt]"
RATES = {
    ("pro", "480p"): 10,
    ("pro", "720p"): 20,
    ("pro", "1080p"): 50,
    ("fast", "480p"): 8,
    ("fast", "720p"): 16,
    ("mini", "480p"): 5,
    ("mini", "720p"): 10,
}
"""Credits per second of output."""
EXAMPLES: dict[tuple[Any, ...], int] = {
    ("mini", "720p", 5): 50,
    ("pro", "480p", 4): 40,
    ("fast", "720p", 10): 160,
    ("pro", "720p", 5, "https://example.com/1.png", "https://example.com/2.png"): 100,
}
"""The contract's own: model, resolution, seconds and reference images, and what they cost."""


def tally(names: Iterable[str]) -> dict[str, Any]:
    """Returns what usage must say about these jobs of the history."""
    chosen = list(names)
    refunded = sum(CREDITS[name] for name in chosen if name in FAILURES)
    net = sum(CREDITS[name] for name in chosen if name in COMPLETED)
    return {
        "total_jobs": len(chosen),
        "pending_jobs": chosen.count("pending"),
        "processing_jobs": chosen.count("processing"),
        "completed_jobs": sum(name in COMPLETED for name in chosen),
        "failed_jobs": sum(name in FAILURES for name in chosen),
        "credits_charged": net + refunded,
        "credits_refunded": refunded,
        "net_credits": net,
    }


def by_model(history: History, names: Iterable[str]) -> list[dict[str, Any]]:
    models: dict[str, list[str]] = {}
    for name in names:
        models.setdefault(history.created[name]["model"], []).append(name)
    return [{"model": model, **tally(models[model])} for model in sorted(models)]


def timeline(history: History, names: Iterable[str]) -> list[dict[str, Any]]:
    days: dict[str, list[str]] = {}
    for name in names:
        days.setdefault(history.created[name]["created_at"][:10], []).append(name)
    return [{"date": day, **tally(days[day])} for day in sorted(days)]


async def test_usage_adds_up_the_last_thirty_days(history: History) -> None:
    usage = await history.customer.get("/v1/usage")

    span = [datetime.fromisoformat(usage["range"][end]) for end in ("start", "end")]
    assert span[1] - span[0] == timedelta(days=30)
    assert usage == {
        "range": usage["range"],
        "summary": tally(CREDITS),
        "by_model": by_model(history, CREDITS),
        "timeline": timeline(history, CREDITS),
    }
    assert {type(value) for value in usage["summary"].values()} == {int}


async def test_usage_counts_exactly_what_was_created_in_the_range(history: History) -> None:
    moments = {name: video["created_at"] for name, video in history.created.items()}
    start, end = moments["full"], moments["moderated_video"]
    inside = [name for name, moment in moments.items() if start <= moment <= end]

    usage = await history.customer.get(f"/v1/usage?start={start}&end={end}&limit=365")

    assert usage == {
        "range": {"start": start, "end": end},
        "summary": tally(inside),
        "by_model": by_model(history, inside),
        "timeline": timeline(history, inside),
    }


async def test_a_range_without_videos_is_all_zeros(history: History) -> None:
    start, end = "2026-01-01T00:00:00.000Z", "2026-01-31T23:59:59.999Z"

    usage = await history.customer.get(f"/v1/usage?start={start}&end={end}")

    expected = {"range": {"start": start, "end": end}, "summary": tally([]), "by_model": [], "timeline": []}
    assert usage == expected


async def test_the_timeline_is_ascending_and_keeps_the_newest_days(stack: Stack) -> None:
    account = stack.create_account("long ago")
    days = ("2026-03-02", "2026-03-01", "2026-02-27")
    with psycopg.connect(stack.status()["database"]["jobs"], autocommit=True) as connection:
        for number, day in enumerate(days, start=1):
            connection.execute(
                "INSERT INTO usage_daily VALUES (%s, 'live', %s, 'mini', %s, 0, 20000000, 0)",
                (account.account_id, day, number),
            )
        path = "/v1/usage?start=2026-02-01T00:00:00.000Z&end=2026-03-31T00:00:00.000Z"
        try:
            async with open_customer(stack.edge, account.keys["live"]) as customer:
                whole = await customer.get(path)
                newest = await customer.get(f"{path}&limit=2")
        finally:
            # No jobs stand behind these days, and others have the books of this stack verified.
            connection.execute("DELETE FROM usage_daily WHERE account_id = %s", (account.account_id,))

    assert [(row["date"], row["total_jobs"]) for row in whole["timeline"]] == [
        ("2026-02-27", 3),
        ("2026-03-01", 2),
        ("2026-03-02", 1),
    ]
    assert newest["timeline"] == whole["timeline"][1:]
    assert newest["summary"] == whole["summary"]
    assert whole["summary"]["net_credits"] == 60


async def test_the_balance_is_what_was_granted_less_what_was_charged_and_held(history: History) -> None:
    charged = sum(CREDITS[name] for name in COMPLETED)
    held = sum(CREDITS[name] for name in UNFINISHED)

    balance = await history.customer.get("/v1/balance")

    assert balance == {"available": CREDITS_GRANTED - charged - held, "held": held}
    assert {type(value) for value in balance.values()} == {int}


async def test_every_offer_has_its_price_and_a_failure_costs_nothing(stack: Stack) -> None:
    account = stack.create_account("prices", credits_each="5000.5")
    async with open_customer(stack.edge, account.keys["live"]) as customer:

        async def reserved(model: str, resolution: str, seconds: int, *images: str) -> int:
            wanted = {"prompt": REFUSED_LATER, "resolution": resolution, "duration": seconds}
            created = await customer.create({"model": model, "input": {**wanted, "image_urls": images}})
            failed = data_of(await customer.until(created["id"], ENDED, seconds=PATIENCE_SECONDS))
            assert (failed["credits_charged"], failed["credits_refunded"]) == (0, created["credits_reserved"])
            return int(created["credits_reserved"])

        prices = [
            await asyncio.gather(*(reserved(*offer, seconds) for offer in RATES)) for seconds in (4, 15)
        ]
        examples = await asyncio.gather(*(reserved(*example) for example in EXAMPLES))
        balance = await customer.get("/v1/balance")

    assert prices == [[rate * seconds for rate in RATES.values()] for seconds in (4, 15)]
    assert examples == list(EXAMPLES.values())
    assert balance == {"available": 5000.5, "held": 0}


async def test_creations_side_by_side_never_spend_more_than_there_is(stack: Stack) -> None:
    account = stack.create_account("poor", credits_each="70")
    body = {"model": "mini", "input": {"prompt": "[simulate: overload 9999]", **SMALL}}
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        answers = await asyncio.gather(*(customer.send("POST", VIDEOS, body) for _ in range(12)))
        balance = await customer.get("/v1/balance")
        listed = await customer.get(VIDEOS)

    assert Counter(answer.status for answer in answers) == {200: 3, 402: 9}
    assert balance == {"available": 10, "held": 60}
    assert len(listed) == 3
