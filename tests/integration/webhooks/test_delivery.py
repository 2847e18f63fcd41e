import asyncio
import base64
import hashlib
import hmac

from services.webhooks.domain import RECEIVER_MAX
from services.webhooks.settings import WebhooksSettings
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Database, event, open_client
from tests.patience import PATIENCE_SECONDS

ALL_ENDED = "SELECT 1 WHERE NOT EXISTS (SELECT FROM heads)"
ENDED = "SELECT 1 FROM deliveries WHERE event_id = %s AND outcome = %s"


async def test_an_event_accepted_twice_arrives_once_as_it_was_stored(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    wanted = event("vid_1", target_url=receiver.url + "/hook")
    async with open_client(settings) as client:
        await client.accept(wanted)
        await client.accept(wanted)
        await database.shows(ENDED, "vid_1-1", "delivered")
        heads = await database.rows("SELECT 1 FROM heads")

    [received] = receiver.received
    [attempt] = await database.rows("SELECT * FROM attempts")
    assert received.body == wanted.body
    assert received.headers["Content-Type"] == "application/json"
    assert heads == []
    assert (attempt["number"], attempt["status"], attempt["error"], attempt["excerpt"]) == (
        1,
        200,
        None,
        b"ok",
    )


async def test_both_signatures_are_accepted_by_who_has_the_secret(
    settings: WebhooksSettings, receiver: Receiver
) -> None:
    async with open_client(settings) as client:
        secret = await client.ensure_secret("acct_1")
        await client.accept(event("vid_1", target_url=receiver.url + "/hook"))
        await receiver.arrival(1)

    [received] = receiver.received
    moment, signature = received.headers["X-Seedancee2-Signature"].split(",")
    sent_at = moment.removeprefix("t=")
    expected = hmac.new(secret.encode(), f"{sent_at}.".encode() + received.body, hashlib.sha256).hexdigest()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"vid_1-1.{sent_at}.".encode() + received.body
    standard = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert signature == f"v1={expected}"
    assert received.headers["webhook-signature"] == f"v1,{standard}"
    assert received.headers["webhook-timestamp"] == sent_at
    assert received.headers["X-Seedancee2-Event"] == "video.generation.completed"
    assert abs(int(sent_at) - received.came_at.timestamp()) < PATIENCE_SECONDS


async def test_a_job_s_events_arrive_in_order_through_a_failure(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    receiver.answer_with("/hook", 500, 200)
    url = receiver.url + "/hook"
    async with open_client(settings) as client:
        await client.accept(event("vid_1", 2, target_url=url), event("vid_1", 1, target_url=url))
        await database.shows("SELECT 1 FROM attempts WHERE status = 500")
        await client.accept(event("vid_1", 3, target_url=url), event("vid_2", target_url=url))
        await database.shows(ENDED, "vid_2-1", "delivered")
        before = list(receiver.event_ids)
        await database.make_due()
        await database.shows(ENDED, "vid_1-3", "delivered")

    assert before == ["vid_1-1", "vid_2-1"]
    assert receiver.event_ids == ["vid_1-1", "vid_2-1", "vid_1-1", "vid_1-2", "vid_1-3"]
    assert receiver.received[0].body == receiver.received[2].body


async def test_a_receiver_that_hangs_holds_up_nobody_else(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    receiver.hold("/hang")
    hanging = [event(f"vid_h{n}", target_url=receiver.url + "/hang") for n in range(3 * RECEIVER_MAX)]
    quick = [
        event(f"vid_q{n}", target_url=receiver.url + "/hook", account_id="acct_2")
        for n in range(2 * RECEIVER_MAX)
    ]
    async with open_client(settings) as client:
        await client.accept(*hanging)
        await receiver.arrival(RECEIVER_MAX)
        await client.accept(*quick)
        await receiver.arrival(RECEIVER_MAX + len(quick))
        waiting = await database.rows("SELECT 1 FROM attempts WHERE job_id LIKE 'vid_h%%'")
        receiver.released.set()
        await database.shows(ALL_ENDED)

    assert waiting == []
    assert set(receiver.event_ids[RECEIVER_MAX : RECEIVER_MAX + len(quick)]) == {
        each.event_id for each in quick
    }
    assert len(receiver.received) == len(hanging) + len(quick)


async def test_more_events_than_one_batch_all_arrive_once(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    wanted = [event(f"vid_{n}", target_url=receiver.url + "/hook") for n in range(500)]
    async with open_client(settings) as client:
        await client.accept(*wanted)
        await receiver.arrival(len(wanted))
        await database.shows(ALL_ENDED)

    assert sorted(receiver.event_ids) == sorted(each.event_id for each in wanted)


async def test_a_stopping_dispatcher_finishes_what_it_has_begun(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    receiver.hold("/hook")
    async with open_client(settings) as client:
        await client.accept(event("vid_1", target_url=receiver.url + "/hook"))
        await receiver.arrival(1)
        asyncio.get_running_loop().call_later(0.2, receiver.released.set)

    rows = await database.rows("SELECT outcome FROM deliveries")
    assert rows == [{"outcome": "delivered"}]
