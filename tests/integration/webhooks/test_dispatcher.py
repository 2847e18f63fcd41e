"""The dispatcher's duties, one run at a time, with the database's clock moved instead of waited for."""

import socket
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from cryptography.fernet import Fernet

from services.webhooks.settings import WebhooksSettings
from tests.integration.webhooks.dispatching import answered, open_bench
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Database, event

WAIT = "SELECT attempt_count, extract(epoch FROM due_at - now()) AS seconds FROM heads"


def _about(seconds: list[int]) -> Any:
    """A little of each wait has passed when it is read."""
    return pytest.approx(seconds, abs=2)


async def test_a_failing_event_is_tried_six_times_then_makes_way(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    receiver.answer_with("/hook", 500, 500, 500, 500, 500, 500, 200)
    waits = []
    async with open_bench(settings) as bench:
        url = receiver.url + "/hook"
        await bench.accept(*(event("vid_1", number, target_url=url) for number in (1, 2)))
        for _ in range(6):
            await bench.deliver_due()
            waits += await database.rows(WAIT)
            await database.make_due()
        await bench.deliver_due()

    rows = await database.rows(
        "SELECT event_id, outcome, ended_at IS NOT NULL AS ended FROM deliveries ORDER BY sequence"
    )
    attempts = await database.rows("SELECT sequence, number, status FROM attempts ORDER BY started_at")
    assert [float(row["seconds"]) for row in waits] == _about([60, 300, 1_800, 7_200, 43_200, 0])
    assert [row["attempt_count"] for row in waits] == [1, 2, 3, 4, 5, 0]
    assert receiver.event_ids == ["vid_1-1"] * 6 + ["vid_1-2"]
    assert rows == [
        {"event_id": "vid_1-1", "outcome": "dead_lettered", "ended": True},
        {"event_id": "vid_1-2", "outcome": "delivered", "ended": True},
    ]
    assert [tuple(row.values()) for row in attempts] == [(1, n, 500) for n in range(1, 7)] + [(2, 1, 200)]


async def test_each_attempt_is_signed_anew_over_the_same_body(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    receiver.answer_with("/hook", 503, 200)
    moments = count(1_770_000_000)
    async with open_bench(settings, clock=lambda: datetime.fromtimestamp(next(moments), UTC)) as bench:
        await bench.accept(event("vid_1", target_url=receiver.url + "/hook"))
        await bench.deliver_due()
        await database.make_due()
        await bench.deliver_due()

    first, second = receiver.received
    assert first.body == second.body
    assert first.event_id == second.event_id
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])


async def test_the_next_event_of_a_job_waits_for_no_poll(
    settings: WebhooksSettings, receiver: Receiver
) -> None:
    url = receiver.url + "/hook"
    async with open_bench(settings) as bench:
        await bench.accept(*(event("vid_1", number, target_url=url) for number in (1, 2)))
        await bench.deliver_due()
        woken_for_the_second = bench.wake.is_set()
        bench.wake.clear()
        await bench.deliver_due()

    assert woken_for_the_second
    assert not bench.wake.is_set()


async def test_our_own_outage_consumes_no_attempt(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    is_down = True

    async def look_up(_host: str, _port: int) -> list[str]:
        if is_down:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return ["127.0.0.1"]

    port = receiver.url.rpartition(":")[2]
    waits = []
    async with open_bench(settings, look_up=look_up) as bench:
        await bench.accept(event("vid_1", target_url=f"http://hooks.localhost:{port}/hook"))
        for _ in range(8):
            await bench.deliver_due()
            waits += await database.rows(WAIT)
            await database.make_due()
        is_down = False
        await bench.deliver_due()

    [row] = await database.rows("SELECT number, status FROM attempts")
    assert [float(wait["seconds"]) for wait in waits] == _about([5, 10, 20, 40, 80, 160, 300, 300])
    assert {wait["attempt_count"] for wait in waits} == {0}
    assert row == {"number": 1, "status": 200}


async def test_a_secret_we_cannot_read_consumes_no_attempt(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    async with open_bench(settings, key=Fernet.generate_key()) as bench:
        await database.rows(
            "INSERT INTO account_secrets (account_id, environment, sealed_secret) VALUES ('acct_1', 'live', 'sealed with another key')"
        )
        await bench.accept(
            event("vid_1", target_url=receiver.url + "/hook"),
            event("vid_2", target_url=receiver.url + "/hook", account_id="acct_2"),
        )
        await bench.deliver_due()

    rows = await database.rows("SELECT job_id, attempt_count, postponement_count FROM heads")
    assert receiver.event_ids == ["vid_2-1"]
    assert rows == [{"job_id": "vid_1", "attempt_count": 0, "postponement_count": 1}]


async def test_a_record_that_comes_too_late_changes_nothing(
    settings: WebhooksSettings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_bench(settings) as slow, open_bench(settings) as quick:
        await slow.accept(event("vid_1"))
        [late] = await slow.claim(most=1)
        await database.make_due()
        [taken] = await quick.claim(most=1)
        slow.dispatcher._verdicts.append(answered(late, 200))
        recorded_count = await slow.dispatcher.record_judged()
        heads = await database.rows("SELECT lease_no FROM heads")

    assert recorded_count == 1
    assert heads == [{"lease_no": taken.lease_no}]
    assert await database.rows("SELECT 1 FROM attempts") == []
    assert "event=vid_1-1 lease lost, delivered not recorded" in caplog.text


async def test_recording_twice_counts_once(settings: WebhooksSettings, database: Database) -> None:
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1"))
        [delivery] = await bench.claim(most=1)
        failed = answered(delivery, 500)
        first = await bench.deliveries.record([failed])
        again = await bench.deliveries.record([failed])

    [head] = await database.rows("SELECT attempt_count FROM heads")
    assert (first.stale, again.stale) == ([], [failed])
    assert head == {"attempt_count": 1}


async def test_an_expired_lease_is_claimed_by_another(settings: WebhooksSettings, database: Database) -> None:
    async with open_bench(settings) as hung, open_bench(settings) as other:
        await hung.accept(event("vid_1"))
        [first] = await hung.claim(most=1)
        [lease] = await database.rows(WAIT)
        nothing = await other.claim(most=1)
        await database.make_due()
        [second] = await other.claim(most=1)

    assert [float(lease["seconds"])] == _about([20])
    assert nothing == []
    assert second.lease_no > first.lease_no
