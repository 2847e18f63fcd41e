"""Where events go: their own address, the endpoints that take them, and what disables one."""

import asyncio
from typing import Any

import pytest

from services.common.clock import utc_now
from services.webhooks.domain import Attempt, NoAnswer, judge
from services.webhooks.settings import WebhooksSettings
from tests.integration.webhooks.dispatching import answered, open_bench, register, sealed
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Database, event, open_client
from tests.standard_webhooks import verified

OUTCOMES = "SELECT event_id, target_id, outcome FROM deliveries ORDER BY number"
AUDIT = "SELECT actor, action, subject_id, reason FROM audit ORDER BY number"
STATE = (
    "SELECT is_enabled, disabled_reason, failing_since IS NOT NULL FROM endpoints WHERE endpoint_id = 'whe_1'"
)


async def _values(database: Database, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in await database.rows(statement)]


async def test_an_event_goes_to_its_own_address_and_to_every_endpoint_that_takes_it(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    await register(database, settings, "whe_1", url=receiver.url + "/one")
    await register(database, settings, "whe_2", url=receiver.url + "/two")
    await register(database, settings, "whe_3", url=receiver.url + "/3", events=["video.generation.failed"])
    await register(database, settings, "whe_4", url=receiver.url + "/4", environment="test")
    async with open_bench(settings) as bench:
        new_count = await bench.accept(
            event("vid_1", target_url=receiver.url + "/own"),
            event("vid_2", target_url=""),
            event("vid_3", target_url="", account_id="acct_2"),
        )
        await bench.deliver_due()

    stored = await _values(database, "SELECT event_id FROM events ORDER BY event_id")
    assert new_count == 2
    assert stored == [("vid_1-1",), ("vid_2-1",)]
    assert sorted((each.path, each.event_id) for each in receiver.received) == [
        ("/one", "vid_1-1"),
        ("/one", "vid_2-1"),
        ("/own", "vid_1-1"),
        ("/two", "vid_1-1"),
        ("/two", "vid_2-1"),
    ]


async def test_an_event_that_nobody_listens_to_leaves_nothing(
    settings: WebhooksSettings, database: Database
) -> None:
    async with open_client(settings) as client:
        new_count = await client.accept(event("vid_1", target_url=""))

    assert new_count == 0
    assert await database.rows("SELECT 1 FROM events") == []
    assert await database.rows("SELECT 1 FROM lanes") == []


async def test_each_target_is_signed_with_its_own_secret(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    secrets = {"/one": await register(database, settings, "whe_1", url=receiver.url + "/one")}
    async with open_client(settings) as client:
        secrets["/own"] = await client.ensure_secret("acct_1")
        await client.accept(event("vid_1", target_url=receiver.url + "/own"))
        await receiver.arrival(2)

    for received in receiver.received:
        verified(received.body, received.headers, secret=secrets[received.path], at=received.came_at)
    assert {each.path for each in receiver.received} == {"/one", "/own"}
    assert secrets["/one"] != secrets["/own"]


@pytest.mark.parametrize(
    ("in_overlap", "is_rotating", "signing"),
    [
        ("-1 second", False, ["current"]),
        ("-1 second", True, ["current", "next"]),
        ("1 hour", False, ["current", "previous"]),
        ("1 hour", True, ["current", "next", "previous"]),
    ],
)
async def test_secrets_sign_in_the_order_of_a_rotation(
    settings: WebhooksSettings, database: Database, in_overlap: str, *, is_rotating: bool, signing: list[str]
) -> None:
    await register(database, settings, "whe_1", url="https://example.com/")
    await database.rows(
        """UPDATE endpoints SET sealed_secret = %s, next_sealed_secret = %s, previous_sealed_secret = %s,
        previous_until = now() + CAST(%s AS interval)""",
        sealed(settings, "current"),
        sealed(settings, "next") if is_rotating else None,
        sealed(settings, "previous"),
        in_overlap,
    )
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", target_url=""))
        [delivery] = await bench.claim()

        assert [bench.secrets.reveal(each) for each in delivery.sealed_secrets] == signing


async def test_a_changed_address_holds_for_what_is_under_way(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    await register(database, settings, "whe_1", url=receiver.url + "/old")
    receiver.answer_with("/old", 500)
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", target_url=""))
        await bench.deliver_due()
        await database.rows("UPDATE endpoints SET url = %s", receiver.url + "/new")
        await database.make_due()
        await bench.deliver_due()

    assert [each.path for each in receiver.received] == ["/old", "/new"]


async def test_what_happens_while_an_endpoint_is_disabled_is_kept_as_given_up(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    await register(database, settings, "whe_1", url=receiver.url)
    await database.rows("UPDATE endpoints SET is_enabled = false")
    async with open_bench(settings) as bench:
        new_count = await bench.accept(event("vid_1", target_url=""))
        await bench.deliver_due()

    assert new_count == 1
    assert await _values(database, OUTCOMES) == [("vid_1-1", "whe_1", "dead_lettered")]
    assert receiver.received == []


async def test_an_endpoint_that_is_gone_is_disabled_and_the_others_are_told(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    await register(database, settings, "whe_1", url=receiver.url + "/gone")
    await register(database, settings, "whe_2", url=receiver.url + "/two")
    receiver.answer_with("/gone", 410)
    async with open_client(settings) as client:
        await client.accept(event("vid_1", 1, target_url=""), event("vid_1", 2, target_url=""))
        await database.shows("SELECT 1 WHERE NOT EXISTS (SELECT FROM heads) AND EXISTS (SELECT FROM audit)")
        await receiver.arrival(4)

    outcomes = await _values(database, "SELECT target_id, sequence, outcome FROM deliveries ORDER BY 1, 2")
    [told] = [each for each in receiver.received if each.json.get("type") == "webhook_endpoint.disabled"]
    assert outcomes[:2] == [("whe_1", 1, "dead_lettered"), ("whe_1", 2, "dead_lettered")]
    assert [each.path for each in receiver.received].count("/gone") == 1
    assert await _values(database, AUDIT) == [("webhooks", "endpoint.disable", "whe_1", "gone")]
    assert await _values(database, STATE) == [(False, "gone", True)]
    assert (told.path, told.headers["X-Seedancee2-Event"]) == ("/two", "webhook_endpoint.disabled")
    assert told.json["data"] == {
        "id": "whe_1",
        "url": receiver.url + "/gone",
        "enabled": False,
        "disabled_reason": "gone",
    }
    assert (told.json["id"], told.json["sequence"]) == (told.event_id, 1)


async def test_a_callback_that_is_gone_is_given_up_and_the_next_event_of_the_job_goes_out(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    receiver.answer_with("/hook", 410, 200)
    url = receiver.url + "/hook"
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", 1, target_url=url), event("vid_1", 2, target_url=url))
        await bench.deliver_due()
        await bench.deliver_due()

    assert await _values(database, OUTCOMES) == [
        ("vid_1-1", "callback", "dead_lettered"),
        ("vid_1-2", "callback", "delivered"),
    ]
    assert await database.rows("SELECT 1 FROM audit") == []


@pytest.mark.parametrize(
    ("failing_for", "status", "state"),
    [
        ("5 days", 500, (False, "failing", True)),
        ("5 days", 302, (False, "failing", True)),
        ("4 days 23 hours", 500, (True, None, True)),
        ("5 days", 200, (True, None, False)),
    ],
)
async def test_an_endpoint_that_fails_after_five_days_of_failing_is_disabled(
    settings: WebhooksSettings, database: Database, failing_for: str, status: int, state: tuple[Any, ...]
) -> None:
    await register(database, settings, "whe_1", url="https://example.com/")
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", target_url=""), event("vid_2", target_url=""))
        first, second = await bench.claim()
        await bench.deliveries.record([answered(first, 500)])
        after_one = await _values(database, STATE)
        await database.rows(
            "UPDATE endpoints SET failing_since = failing_since - CAST(%s AS interval)", failing_for
        )
        recorded = await bench.deliveries.record([answered(second, status)])

    assert after_one == [(True, None, True)]
    assert await _values(database, STATE) == [state]
    assert recorded.disabled_count == (not state[0])
    assert len(await _values(database, AUDIT)) == (not state[0])


async def test_an_outage_of_our_own_says_nothing_of_an_endpoint(
    settings: WebhooksSettings, database: Database
) -> None:
    await register(database, settings, "whe_1", url="https://example.com/")
    fault = NoAnswer(error="the host name does not resolve", is_ours=True)
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", target_url=""))
        [delivery] = await bench.claim()
        attempt = Attempt(delivery=delivery, started_at=utc_now(), latency_ms=1, result=fault)
        await bench.deliveries.record([judge(attempt)])

    assert await _values(database, STATE) == [(True, None, False)]


async def test_a_disabling_is_told_once_and_each_one_anew(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    await register(database, settings, "whe_1", url="https://example.com/")
    await register(database, settings, "whe_2", url=receiver.url)
    async with open_bench(settings) as bench, open_bench(settings) as other:
        for number in (1, 2):
            await database.rows(
                "UPDATE endpoints SET is_enabled = true, disabled_reason = NULL, notice_due = false"
            )
            await bench.accept(event(f"vid_{number}", target_url=""))
            deliveries = await bench.claim()
            await bench.deliveries.record(
                [answered(each, 410 if each.target_id == "whe_1" else 200) for each in deliveries]
            )
            await asyncio.gather(bench.dispatcher.announce_disabled(), other.dispatcher.announce_disabled())
            again = await bench.dispatcher.announce_disabled()
            await bench.deliver_due()

            assert again == 0

    assert [(each.json["type"], each.json["sequence"]) for each in receiver.received] == [
        ("webhook_endpoint.disabled", 1),
        ("webhook_endpoint.disabled", 2),
    ]


@pytest.mark.parametrize("change", ["UPDATE endpoints SET is_enabled = false", "DELETE FROM endpoints"])
async def test_what_waits_for_an_endpoint_is_given_up_with_it(
    settings: WebhooksSettings, database: Database, change: str
) -> None:
    await register(database, settings, "whe_1", url="https://example.com/")
    async with open_bench(settings) as bench:
        await bench.accept(
            *(event(f"vid_{n}", sequence, target_url="") for n in range(3) for sequence in (1, 2))
        )
        [in_hand] = await bench.claim(most=1)
        await database.rows(change)
        not_claimed = await bench.claim()
        closed_count = await bench.disabled.give_up_waiting(heads_max=1)
        closed_count += await bench.disabled.give_up_waiting(heads_max=10)
        while_in_hand = await _values(database, "SELECT job_id FROM heads")
        await bench.deliveries.record([answered(in_hand, 200)])
        closed_count += await bench.disabled.give_up_waiting(heads_max=10)

    outcomes = await _values(database, "SELECT job_id, sequence, outcome FROM deliveries ORDER BY number")
    left = await database.rows("SELECT job_id FROM heads UNION ALL SELECT lane_id FROM lanes")
    assert not_claimed == []
    assert while_in_hand == [(in_hand.job_id,)]
    assert closed_count == 3
    assert {(job, sequence) for job, sequence, outcome in outcomes if outcome == "delivered"} == {
        (in_hand.job_id, 1)
    }
    assert [outcome for *_, outcome in outcomes].count("dead_lettered") == 5
    assert left == []
