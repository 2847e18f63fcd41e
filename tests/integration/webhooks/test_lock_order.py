"""Every statement of the webhooks database locks rows in one order, so that no two can wait for each other in a circle."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.postgres.database import Pool, open_pool
from services.webhooks import store
from services.webhooks.convert import parse_event
from services.webhooks.domain import DeliveryKey, EndpointChange, Owner
from services.webhooks.settings import WebhooksSettings
from services.webhooks.store import lock_order
from services.webhooks.store.endpoints import SqlEndpoints
from services.webhooks.store.history import SqlHistory
from services.webhooks.store.listeners import EndedListeners, SqlListeners
from services.webhooks.store.redeliveries import SqlRedeliveries
from services.webhooks.store.retention import OldEvents
from services.webhooks.store.sealed_rows import SqlSealedRows
from services.webhooks.store.secrets import SqlSigningSecrets
from tests.integration.lock_log import LockLog, lock_log
from tests.integration.webhooks.dispatching import ALL_EVENTS, Bench, answered, open_bench
from tests.integration.webhooks.service import Database, event
from tests.spans import SAMPLED, spans_kept

NOTE = AuditNote(actor="tests", reason="order")
OWNER = Owner(account_id="acct_1", environment="live", contract="seedancee2")
IN_NOBODYS_WAY = frozenset({"deliveries", "attempts", "redeliveries", "audit"})
KINDS = {"deliveries": "CASE WHEN outcome IS NULL THEN 'open deliveries' ELSE 'ended deliveries' END"}
GUARDS = {"open deliveries": "heads", "ended deliveries": "redelivery_turns"}
URL = "https://example.com/hook"
JOBS = ("vid_3", "vid_1", "vid_5", "vid_2", "vid_4")


async def manage_endpoints(pool: Pool, settings: WebhooksSettings, log: LockLog) -> None:
    """Sends every statement about endpoints and secrets, and leaves two endpoints."""
    fernet = Fernet(settings.secret_key.get_secret_value())
    endpoints, secrets = SqlEndpoints(pool, fernet), SqlSigningSecrets(pool, fernet)
    wanted = EndpointChange(url=URL, events=ALL_EVENTS, description="", is_enabled=True)
    for endpoint_id in ("we_2", "we_1", "we_0"):
        async with log.step("add endpoint"):
            await endpoints.add(endpoint_id, owner=OWNER, wanted=wanted, secret="whsec_x")
    async with log.step("add endpoint again"):
        await endpoints.add("we_1", owner=OWNER, wanted=wanted, secret="whsec_x")
    async with log.step("change endpoint"):
        await endpoints.change("we_1", owner=OWNER, change=wanted)
    async with log.step("rotate endpoint"):
        await endpoints.rotate("we_1", owner=OWNER, secret="whsec_y")
    async with log.step("confirm endpoint"):
        await endpoints.confirm("we_1", owner=OWNER)
    async with log.step("delete endpoint"):
        await endpoints.delete("we_0", owner=OWNER)
    async with log.step("ensure secret"):
        assert await secrets.ensure("acct_1", environment="live", candidate="s")
    async with log.step("rotate secret"):
        await secrets.rotate("acct_1", environment="live", secret="t", note=NOTE)
    async with log.step("confirm secret"):
        await secrets.confirm("acct_1", environment="live", note=NOTE)
    async with log.step("switch signing"):
        await secrets.switch("acct_1", environment="live", is_signing=True, note=NOTE)
    for environment in ("live", "test"):
        await secrets.ensure("acct_2", environment=environment, candidate="s")
    for table in ("account_secrets", "endpoints"):
        columns = "next_sealed_secret = sealed_secret, previous_sealed_secret = sealed_secret, previous_until = now()"
        await log.connection.execute(f"UPDATE {table} SET {columns}".encode())
    await log.connection.execute(
        "INSERT INTO signing_secrets SELECT account_id, sealed_secret FROM account_secrets WHERE environment = 'test'"
    )
    old, new = fernet, Fernet(Fernet.generate_key())
    sealed, after = SqlSealedRows(pool, [new, old]), ""
    while True:
        async with log.step("reseal"):
            after = (await sealed.reseal(after=after, rows_max=10, note=NOTE)).next_page_token
        if not after:
            break


async def listen(pool: Pool, settings: WebhooksSettings, log: LockLog) -> None:
    """Sends every statement about listeners, and leaves two."""
    listeners = SqlListeners(pool, Fernet(settings.secret_key.get_secret_value()))
    for listener_id in ("whl_2", "whl_1", "whl_0"):
        async with log.step("add listener"):
            await listeners.add(listener_id, owner=OWNER, events=ALL_EVENTS, secret="whsec_x")
    async with log.step("note read"):
        await listeners.note_read(["whl_2", "whl_0", "whl_1"])
    async with log.step("end listener"):
        await listeners.end("whl_0", owner=OWNER)


async def deliver(bench: Bench, database: Database, log: LockLog, *, status: int) -> None:
    """Claims all that is due, and records that all was answered alike, the last first."""
    await database.make_due()
    async with log.step("claim", waits=False):
        claimed = await bench.claim()
    async with log.step(f"record {status}"):
        await bench.deliveries.record([answered(each, status) for each in reversed(claimed)])


async def give_up(database: Database) -> None:
    await database.rows("UPDATE deliveries SET outcome = 'dead_lettered', ended_at = now()")
    for table in ("heads", "lanes", "turns"):
        await database.rows(f"DELETE FROM {table}")


async def walk(bench: Bench, pool: Pool, database: Database, log: LockLog) -> None:
    """Sends every statement that moves events on their way."""
    events = [event(job) for job in JOBS]
    async with log.step("accept"):
        await bench.accept(*events)
    async with log.step("accept again"):
        await bench.accept(*(event(job, sequence) for sequence in (2, 1) for job in JOBS))
    async with log.step("accept traced"):
        traced = [parse_event(event(job, 3)) for job in JOBS]
        await bench.events.accept(traced, traceparent=SAMPLED)
    await deliver(bench, database, log, status=500)
    with spans_kept():
        await deliver(bench, database, log, status=200)
    await database.make_due()
    await bench.claim()
    await database.rows("UPDATE heads SET owner = 99 WHERE owner IS NOT NULL")
    async with log.step("reopen abandoned"):
        assert await bench.membership.reopen_abandoned()
    async with log.step("beat"):
        await bench.membership.beat()
    await database.make_due()
    await bench.claim()
    async with log.step("leave"):
        await bench.membership.leave()
    await deliver(bench, database, log, status=410)
    [disabled, *_] = await bench.disabled.unannounced(endpoints_max=10)
    async with log.step("announce"):
        await bench.disabled.announce(
            parse_event(event(disabled.endpoint_id)), endpoint_id=disabled.endpoint_id
        )
    async with log.step("close disabled"):
        await bench.disabled.give_up_waiting(heads_max=100)
    await database.rows("UPDATE endpoints SET is_enabled = true, disabled_reason = NULL, notice_due = false")


async def send_again(pool: Pool, database: Database, log: LockLog) -> None:
    """Sends every statement with which owners have events delivered again, and those that forget them."""
    history, redeliveries = SqlHistory(pool), SqlRedeliveries(pool)
    await give_up(database)
    async with log.step("reopen"):
        assert await history.reopen(
            DeliveryKey(job_id="vid_1", sequence=1, target_id="callback"), owner=OWNER
        )
    async with log.step("reopen the one before"):
        assert await history.reopen(
            DeliveryKey(job_id="vid_2", sequence=2, target_id="callback"), owner=OWNER
        )
    async with log.step("reopen the one before"):
        assert await history.reopen(
            DeliveryKey(job_id="vid_2", sequence=1, target_id="callback"), owner=OWNER
        )
    async with log.step("send test"):
        await history.send_test(parse_event(event("test_1", target_url=URL)), endpoint_id="we_1")
    day = timedelta(days=1)
    for number in (1, 2):
        async with log.step("add redelivery"):
            await redeliveries.add(
                f"whr_{number}", owner=OWNER, endpoint_id=None, start=utc_now() - day, end=utc_now() + day
            )
    for _ in range(8):
        async with log.step("advance redelivery"):
            await redeliveries.advance(deliveries_max=7)
    await give_up(database)
    await database.rows("UPDATE events SET accepted_at = accepted_at - interval '90 days'")
    async with log.step("forget listeners", waits=False):
        assert await EndedListeners(pool).forget()
    async with log.step("forget events", waits=False):
        await OldEvents(pool, kept_days=30, kept_days_of={}).forget()
    assert await database.rows("SELECT FROM events") == []


async def test_every_statement_locks_in_one_order(
    settings: WebhooksSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        lock_log(settings.database_url, monkeypatch, kinds=KINDS) as log,
        open_bench(settings) as bench,
        open_pool(settings.database_url, name="test", connections_max=2) as pool,
    ):
        await listen(pool, settings, log)
        await manage_endpoints(pool, settings, log)
        await walk(bench, pool, database, log)
        await send_again(pool, database, log)

        found = await log.violations(
            order=lock_order.LOCK_ORDER, new_in_nobodys_way=IN_NOBODYS_WAY, guards=GUARDS
        )
        assert not found, "\n".join(found)
        assert await log.unseen(store) == []
