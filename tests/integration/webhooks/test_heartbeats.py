"""Who lives among dispatchers, told by rows alone: moments are written into the rows instead of waited for."""

import asyncio

import psycopg
import pytest

from services.webhooks.settings import WebhooksSettings
from services.webhooks.store.membership import FRESH_SECONDS, GONE_SECONDS, OWNER_LOCK_CLASS
from tests.integration.webhooks.dispatching import Bench, answered, open_bench
from tests.integration.webhooks.service import Database, event
from tests.patience import PATIENCE_SECONDS

SILENT = "UPDATE dispatchers SET beat_at = beat_at - make_interval(secs => %s) WHERE owner = %s"
STEADY = "UPDATE dispatchers SET steady_since = steady_since - make_interval(secs => %s) WHERE owner = %s"
BEATS_PAST_BROKEN = 5
"""More than a bench has connections."""
BREAK = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
RELEASE_BEFORE = f"""
    SELECT DISTINCT owner FROM heads WHERE owner IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 2
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid = CAST({OWNER_LOCK_CLASS} AS oid) AND objid = CAST(heads.owner AS oid)
    )
"""
"""Whom a dispatcher of the release before takes for gone."""


async def _silence(bench: Bench, database: Database, *, seconds: int = GONE_SECONDS) -> None:
    """Moves the last beat of a dispatcher into the past."""
    await database.rows(SILENT, seconds, await bench.membership.owner())


async def _steady(bench: Bench, database: Database) -> None:
    """Has a dispatcher have beaten for long enough to judge others."""
    await bench.membership.beat()
    await database.rows(STEADY, GONE_SECONDS, await bench.membership.owner())


async def test_only_what_a_silent_dispatcher_had_is_taken_over(
    settings: WebhooksSettings, database: Database
) -> None:
    async with open_bench(settings) as alive, open_bench(settings) as silent:
        await alive.accept(*(event(f"vid_{n}") for n in (1, 2)))
        [kept] = await alive.claim(most=1)
        [left] = await silent.claim(most=1)
        await _steady(alive, database)
        before = await alive.dispatcher.reopen_abandoned()
        await _silence(silent, database)
        after = await alive.dispatcher.reopen_abandoned()
        [claimed] = await alive.claim(most=2)

    assert (before, after) == (0, 1)
    assert claimed.job_id == left.job_id != kept.job_id


async def test_a_beat_keeps_what_a_dispatcher_has(settings: WebhooksSettings, database: Database) -> None:
    async with open_bench(settings) as judge, open_bench(settings) as beating:
        await judge.accept(event("vid_1"))
        await beating.claim()
        await _steady(judge, database)
        await _silence(beating, database)
        await beating.membership.beat()

        assert await judge.dispatcher.reopen_abandoned() == 0


async def test_a_dispatcher_that_was_only_slow_cannot_record_what_another_has_taken(
    settings: WebhooksSettings, database: Database
) -> None:
    async with open_bench(settings) as slow, open_bench(settings) as other:
        await slow.accept(event("vid_1"))
        [late] = await slow.claim()
        await _steady(other, database)
        await _silence(slow, database)
        await other.dispatcher.reopen_abandoned()
        [taken] = await other.claim()
        await slow.membership.beat()
        verdict = answered(late, 200)
        recorded = await slow.deliveries.record([verdict])
        heads = await database.rows("SELECT lease_no FROM heads")

    assert recorded.stale == [verdict]
    assert heads == [{"lease_no": taken.lease_no}]
    assert await database.rows("SELECT FROM attempts") == []


async def test_who_has_not_just_beaten_claims_nothing_until_the_next_beat(
    settings: WebhooksSettings, database: Database
) -> None:
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1"))
        await _silence(bench, database, seconds=FRESH_SECONDS)
        nothing = await bench.claim()
        await bench.membership.beat()
        [claimed] = await bench.claim()

    assert nothing == []
    assert claimed.job_id == "vid_1"


async def test_after_an_outage_nobody_is_judged_by_who_was_away_too(
    settings: WebhooksSettings, database: Database
) -> None:
    async with open_bench(settings) as first, open_bench(settings) as last:
        await first.accept(event("vid_1"))
        await last.claim()
        await _steady(first, database)
        for away in (first, last):
            await _silence(away, database, seconds=3 * GONE_SECONDS)
        await first.membership.beat()
        at_once = await first.dispatcher.reopen_abandoned()
        await _steady(first, database)
        in_the_end = await first.dispatcher.reopen_abandoned()

    assert (at_once, in_the_end) == (0, 1)


async def test_a_dispatcher_that_leaves_leaves_nothing_behind(
    settings: WebhooksSettings, database: Database
) -> None:
    async with open_bench(settings) as leaving, open_bench(settings) as other:
        await leaving.accept(event("vid_1"))
        [left] = await leaving.claim()
        await leaving.membership.leave()
        [claimed] = await other.claim()

    assert claimed.job_id == left.job_id
    assert await database.rows("SELECT FROM dispatchers") == []


async def test_a_dispatcher_that_was_forgotten_enters_anew(
    settings: WebhooksSettings, database: Database
) -> None:
    async with open_bench(settings) as bench:
        before = await bench.membership.owner()
        await database.rows("DELETE FROM dispatchers")
        await bench.membership.beat()
        after = await bench.membership.owner()
        rows = await database.rows("SELECT owner FROM dispatchers")

    assert before != after
    assert rows == [{"owner": after}]


async def test_broken_connections_take_nothing_from_a_dispatcher(
    settings: WebhooksSettings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_bench(settings) as bench, open_bench(settings) as judge:
        await bench.accept(event("vid_1"))
        [claimed] = await bench.claim()
        await database.rows(BREAK)
        for _ in range(BEATS_PAST_BROKEN):
            await bench.membership.beat()
            await judge.membership.beat()
        await _steady(judge, database)
        reopened = await judge.dispatcher.reopen_abandoned()
        recorded = await bench.deliveries.record([answered(claimed, 200)])

    assert "no beat" in caplog.text
    assert reopened == 0
    assert recorded.stale == []


async def test_beside_the_release_before_each_sees_the_other_alive(
    settings: WebhooksSettings, database: Database
) -> None:
    async with open_bench(settings) as new:
        await new.accept(*(event(f"vid_{n}") for n in (1, 2)))
        await new.claim(most=1)
        await _steady(new, database)
        with psycopg.connect(settings.database_url, autocommit=True) as old:
            old.execute("SELECT pg_advisory_lock(%s, 4711)", (OWNER_LOCK_CLASS,))
            old.execute("UPDATE heads SET owner = 4711 WHERE owner IS NULL")
            gone_to_the_old = await database.rows(RELEASE_BEFORE)
            while_it_lives = await new.dispatcher.reopen_abandoned()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (after_its_end := await new.dispatcher.reopen_abandoned()):
                pass

    assert gone_to_the_old == []
    assert (while_it_lives, after_its_end) == (0, 1)
