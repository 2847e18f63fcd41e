"""Attempts are counted by what became of them, and the delay is that of events which were delivered at first."""

from services.common.clock import utc_now
from services.webhooks.domain import Outcome
from services.webhooks.settings import WebhooksSettings
from tests.integration.webhooks.dispatching import open_bench
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Database, event
from tests.metric_values import value

DELAY = "reelgate_webhook_delay_seconds"


def _attempts() -> dict[str, float]:
    return {
        outcome.value: value("reelgate_webhook_attempts_total", outcome=outcome.value) for outcome in Outcome
    }


def _more(before: dict[str, float]) -> dict[str, float]:
    return {
        outcome: count - before[outcome] for outcome, count in _attempts().items() if count > before[outcome]
    }


async def test_the_delay_of_an_event_is_from_its_commit_until_it_was_received(
    settings: WebhooksSettings, receiver: Receiver
) -> None:
    an_hour_ago = int((utc_now().timestamp() - 3600) * 1000)
    told = event("vid_1", target_url=receiver.url + "/hook", occurred_at_millis=an_hour_ago)
    attempts, delay, count = _attempts(), value(f"{DELAY}_sum"), value(f"{DELAY}_count")

    async with open_bench(settings) as bench:
        await bench.accept(told)
        await bench.deliver_due()

    assert _more(attempts) == {"delivered": 1}
    assert value(f"{DELAY}_count") == count + 1
    assert 3600 <= value(f"{DELAY}_sum") - delay < 3600 + 600


async def test_a_receiver_that_fails_and_what_is_delivered_again_do_not_count_as_delay(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    receiver.answer_with("/hook", 500, 200, 200)
    attempts, count = _attempts(), value(f"{DELAY}_count")

    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", target_url=receiver.url + "/hook"))
        await bench.deliver_due()
        await database.make_due()
        await bench.deliver_due()
        await database.rows("UPDATE deliveries SET outcome = NULL, ended_at = NULL")
        await database.rows("SELECT open_heads(ARRAY['vid_1'], ARRAY['callback'], ARRAY[1])")
        await bench.deliver_due()

    assert _more(attempts) == {"failed": 1, "delivered": 2}
    assert value(f"{DELAY}_count") == count
