"""Room is taken from the claim until the record is committed, so that nobody fills a dispatcher while records wait."""

import psycopg
import pytest

from services.webhooks.domain import ACCOUNT_MAX, RECEIVER_MAX
from services.webhooks.settings import WebhooksSettings
from tests.integration.webhooks.dispatching import Bench, open_bench
from tests.integration.webhooks.receiver import Receiver, until
from tests.integration.webhooks.service import Database, event

CLAIMS = 4
HANDS = "SELECT count(*) AS count FROM heads JOIN deliveries USING (job_id, target_id) WHERE owner IS NOT NULL AND account_id = %s"


async def _attempt_due(bench: Bench) -> None:
    """Claims what is due and waits for the attempts; nothing is recorded."""
    await bench.dispatcher.claim_due()
    await until(lambda: not bench.dispatcher._attempts)


async def _accept(bench: Bench, *, count: int, account: str, hosts: int, port: str) -> None:
    urls = (f"http://{n % hosts}.{account.removeprefix('acct_')}.localhost:{port}/hook" for n in range(count))
    await bench.accept(
        *(event(f"{account}-{n}", account_id=account, target_url=url) for n, url in enumerate(urls))
    )


async def _here(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


@pytest.mark.parametrize(("hosts", "room"), [(2 * ACCOUNT_MAX, ACCOUNT_MAX), (1, RECEIVER_MAX)])
async def test_attempts_that_are_not_recorded_take_room(
    settings: WebhooksSettings, receiver: Receiver, database: Database, hosts: int, room: int
) -> None:
    # Refused by the receiver, so that its room does not grow.
    receiver.answer_with("/hook", 404)
    port = receiver.url.rpartition(":")[2]
    async with open_bench(settings, look_up=_here) as bench:
        await _accept(bench, count=3 * room, account="acct_1", hosts=hosts, port=port)
        for _ in range(CLAIMS):
            await _attempt_due(bench)
        attempted = len(receiver.received)
        [held] = await database.rows(HANDS, "acct_1")
        await _accept(bench, count=1, account="acct_2", hosts=1, port=port)
        await _attempt_due(bench)
        with_other = len(receiver.received)
        bench.wake.clear()
        await bench.dispatcher.record_judged()
        is_awake = bench.wake.is_set()
        await _attempt_due(bench)

    assert (attempted, held["count"]) == (room, room)
    assert with_other == room + 1
    assert is_awake
    assert len(receiver.received) == 2 * room + 1


async def test_a_record_that_fails_leaves_its_room_taken_until_it_succeeds(
    settings: WebhooksSettings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer_with("/hook", 404)
    port = receiver.url.rpartition(":")[2]
    async with open_bench(settings, look_up=_here) as bench:
        await _accept(bench, count=2 * RECEIVER_MAX, account="acct_1", hosts=1, port=port)
        await _attempt_due(bench)
        with monkeypatch.context() as away:
            away.setattr(bench.deliveries, "_record", _gone)
            with pytest.raises(psycopg.OperationalError):
                await bench.dispatcher.record_judged()
        await _attempt_due(bench)
        unrecorded = len(receiver.received)
        await bench.dispatcher.record_judged()
        await _attempt_due(bench)

    assert (unrecorded, len(receiver.received)) == (RECEIVER_MAX, 2 * RECEIVER_MAX)


async def test_a_record_that_can_never_be_made_gives_its_room_back(
    settings: WebhooksSettings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer_with("/hook", 404)
    port = receiver.url.rpartition(":")[2]
    async with open_bench(settings, look_up=_here) as bench:
        await _accept(bench, count=2 * RECEIVER_MAX, account="acct_1", hosts=1, port=port)
        await _attempt_due(bench)
        with monkeypatch.context() as refused:
            refused.setattr(bench.deliveries, "_record", _refused)
            await bench.dispatcher.record_judged()
        await _attempt_due(bench)

    assert len(receiver.received) == 2 * RECEIVER_MAX


async def _gone(_judgements: object) -> list[None]:
    raise psycopg.OperationalError("the connection is lost")


async def _refused(_judgements: object) -> list[None]:
    raise psycopg.errors.CheckViolation("refused")
