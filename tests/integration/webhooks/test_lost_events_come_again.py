"""The webhooks database is restored to an older state than that of jobs: what it has lost is handed over again, once."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest
from reelgate.admin.v1.outbox_admin_service_pb2 import HandOverEventsRequest
from typing_extensions import override

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool, open_pool
from services.common.rpc.client import open_channel
from services.jobs.clients import IntakeClient
from services.jobs.convert.events import render_event
from services.jobs.domain.events import OutboxEvent
from services.jobs.domain.job import Job
from services.jobs.duties.relay_events import relay_events
from services.jobs.operations import hand_over_events
from services.jobs.operations.hand_over_events import Teller
from services.jobs.ports import Intake
from services.jobs.store.endings import SqlEndings
from services.jobs.store.outbox import SqlOutbox
from services.jobs.store.retention import SqlRetention
from services.upstream.provider import RefusedError, UnknownError
from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import Role, open_webhooks
from tests.conftest import MakeDatabase
from tests.integration.jobs.conftest import OWNER, a_job
from tests.integration.jobs.desk import NOTE, Desk, open_desk
from tests.integration.jobs.test_events import QUEUING, REFUSED, RENDERING, walk_to_the_end
from tests.integration.jobs.world import DONE, World, open_world
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Database
from tests.patience import PATIENCE_SECONDS

LOST = "SELECT * FROM outbox ORDER BY event_id"
NOT_COMPARED = {"due_at", "refusal"}
MODEL = "seedance-2.0-mini"
ANSWERS: dict[str, list[Any]] = {
    "completes": [RENDERING, DONE],
    "fails late": [RENDERING, REFUSED],
    "fails early": [QUEUING, REFUSED],
    "is refused at once": [],
    "is found again": [DONE],
}


@dataclass
class LosingIntake(Intake):
    """Takes events over, and is gone before it says so."""

    inner: Intake

    @override
    async def accept(self, events: Sequence[OutboxEvent]) -> None:
        await self.inner.accept(events)
        raise ServiceError(Reason.UNAVAILABLE, "killed")


@pytest.fixture
async def pool(make_database: MakeDatabase) -> AsyncIterator[Pool]:
    async with open_pool(make_database("jobs"), name="test", connections_max=8, plans_once=True) as opened:
        yield opened


@pytest.fixture
async def desk(pool: Pool) -> AsyncIterator[Desk]:
    async with open_desk(pool) as opened:
        yield opened


def job_of(number: int, contract: str, *, account_id: str = "acct_1", url: str | None = None) -> Job:
    owner = replace(OWNER, contract=contract, account_id=account_id)
    prefix = {"nextapi": "job", "seedancee2": "vid"}[contract]
    made = a_job(callback_url=url or f"https://customer.example/{number}")
    return replace(made, id=f"{prefix}_{number:026d}", owner=owner, model=MODEL, created_at=utc_now())


async def begin(pool: Pool, job: Job, kind: str) -> World:
    world = await open_world(pool, job)
    world.name_token = lambda claim: f"token-{job.id}-{claim.lease_no}"
    world.provider.answers = list(ANSWERS[kind])
    if kind == "is refused at once":
        world.provider.submit_error = RefusedError(REFUSED)
    if kind == "is found again":
        world.provider.submit_error, world.provider.loses_answers = UnknownError("cut off"), True
    return world


async def end(pool: Pool, job: Job, kind: str) -> None:
    await walk_to_the_end(await begin(pool, job, kind))


async def hand_over(desk: Desk, since: datetime) -> list[int]:
    """Hands over page after page. Returns how many events each put into the outbox."""
    request, more, counts = HandOverEventsRequest(since=since.isoformat(), audit=NOTE), True, []
    while more:
        page = await desk.outbox.HandOverEvents(request, timeout=PATIENCE_SECONDS)
        counts.append(page.handed_over_count)
        request.page_token, more = page.next_page_token, bool(page.next_page_token)
    return counts


async def test_the_last_event_of_each_job_is_made_again_as_it_was(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand_over_events, "ACCOUNTS_MAX", 2)
    since, number = utc_now(), 0
    for contract in ("nextapi", "seedancee2"):
        for account_id in ("acct_1", "acct_2", "acct_3"):
            for kind in ANSWERS:
                number += 1
                await end(desk.pool, job_of(number, contract, account_id=account_id), kind)
    told = {row["job_id"]: row for row in await desk.sql(LOST)}
    types = Counter((row["type"], row["sequence"]) for row in told.values())
    await desk.sql("DELETE FROM outbox")

    counts = await hand_over(desk, since)

    again = {row["job_id"]: row for row in await desk.sql(LOST)}
    assert types == {
        ("job.succeeded", 3): 6,
        ("job.failed", 3): 3,
        ("job.failed", 2): 3,
        ("job.failed", 1): 3,
        ("video.generation.completed", 1): 6,
        ("video.generation.failed", 1): 9,
    }
    assert (len(counts) > 1, sum(counts)) == (True, number)
    assert await desk.sql("SELECT job_id FROM outbox GROUP BY job_id HAVING count(*) > 1") == []
    assert [_compared(again[job_id]) for job_id in told] == [_compared(row) for row in told.values()]


def _compared(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in NOT_COMPARED}


async def test_each_is_audited_once_and_repeating_it_changes_nothing(desk: Desk) -> None:
    since = utc_now()
    await end(desk.pool, job_of(1, "nextapi"), "completes")
    await desk.sql("DELETE FROM outbox")

    counts = [await hand_over(desk, since), await hand_over(desk, since)]

    [entry] = await desk.entries()
    assert counts == [[1], [0]]
    assert (entry.action, entry.subject_id, entry.reason) == (
        "event.hand_over",
        f"evt_{job_of(1, 'nextapi').id}_3",
        NOTE.reason,
    )
    assert json.loads(entry.details_json) == {"job_id": job_of(1, "nextapi").id}


async def test_jobs_that_ended_before_or_not_yet_or_are_forgotten_are_left_alone(desk: Desk) -> None:
    await end(desk.pool, job_of(1, "nextapi"), "completes")
    since = utc_now()
    await desk.sql("UPDATE jobs SET ended_at = ended_at - interval '1 hour'")
    await end(desk.pool, job_of(2, "nextapi"), "completes")
    await desk.sql(f"UPDATE jobs SET content_deleted_at = now() WHERE id = '{job_of(2, 'nextapi').id}'")
    await (await begin(desk.pool, job_of(3, "nextapi"), "completes")).submitted()
    await desk.sql("DELETE FROM outbox")

    assert await hand_over(desk, since) == [0]
    assert await desk.sql(LOST) == []


@pytest.mark.parametrize(
    ("since", "page_token", "field"),
    [
        ("yesterday", "", "since"),
        ("2026-06-01T10:00:00", "", "since"),
        ("2026-06-01T10:00:00Z", "acct_1", "page_token"),
        ("2026-06-01T10:00:00Z", "2026-06-01T10:00:00+00:00/acct_1", "page_token"),
        ("2026-06-01T10:00:00Z", "2026-06-01T10:00:00+00:00/ vid_1", "page_token"),
    ],
)
async def test_what_is_no_moment_and_no_token_is_refused(
    desk: Desk, since: str, page_token: str, field: str
) -> None:
    request = HandOverEventsRequest(since=since, page_token=page_token, audit=NOTE)
    with pytest.raises(ServiceError, match=f"Field {field} must be") as refused:
        await desk.outbox.HandOverEvents(request, timeout=PATIENCE_SECONDS)

    assert refused.value.reason is Reason.INVALID_FIELD


@dataclass
class Told:
    """A database of jobs, and a running webhooks service."""

    pool: Pool
    intake: Intake

    async def relay(self, intake: Intake | None = None) -> None:
        await relay_events(outbox=SqlOutbox(self.pool), intake=intake or self.intake).run_once()


@asynccontextmanager
async def telling(pool: Pool, settings: WebhooksSettings) -> AsyncIterator[Told]:
    async with (
        open_webhooks(settings, role=Role.ALL) as running,
        open_channel(str(running.internal_address), timeout_seconds=PATIENCE_SECONDS) as channel,
    ):
        yield Told(pool=pool, intake=IntakeClient(channel))


async def test_after_a_restore_each_lost_end_is_delivered_once_and_nothing_that_was_there(
    pool: Pool,
    desk: Desk,
    settings: WebhooksSettings,
    receiver: Receiver,
    copy_database: Callable[[str], str],
) -> None:
    since = utc_now()
    kept = [
        job_of(number, contract, url=f"{receiver.url}/{number}")
        for number, contract in ((1, "nextapi"), (2, "seedancee2"))
    ]
    lost = [
        job_of(number, contract, url=f"{receiver.url}/{number}")
        for number, contract in ((3, "nextapi"), (4, "seedancee2"), (5, "nextapi"), (6, "seedancee2"))
    ]
    half = job_of(7, "nextapi", url=f"{receiver.url}/7")
    async with telling(pool, settings) as told:
        for job in kept:
            await end(pool, job, "completes")
        await told.relay()
        await receiver.arrival(4)
    world = await begin(pool, half, "completes")
    await world.submitted()
    async with telling(pool, settings) as told:
        await told.relay()
        await receiver.arrival(5)
    older = copy_database(settings.database_url)
    async with telling(pool, settings) as told:
        await walk_to_the_end(world)
        for job in lost:
            await end(pool, job, "completes")
        await told.relay()
        await receiver.arrival(5 + 2 + 3 + 1 + 3 + 1)
    before = Counter(receiver.event_ids)
    bodies = {each.event_id: each.body for each in receiver.received}
    assert await desk.sql(LOST) == []

    async with telling(pool, settings.model_copy(update={"database_url": older})) as told:
        # Killed after its first page, and again between the take-over and the commit that would have noted it.
        teller = Teller(retention=SqlRetention(pool), endings=SqlEndings(pool), render_event=render_event)
        first = await teller.hand_over(
            since, "", note=AuditNote(actor="tests", reason="restored"), events_max=3
        )
        with pytest.raises(ServiceError, match="killed"):
            await told.relay(LosingIntake(told.intake))
        await hand_over(desk, since)
        await told.relay()
        await hand_over(desk, since)
        await told.relay()
        await receiver.arrival(before.total() + 5)
        await idle(older)

    ends = {f"evt_{job.id}_{3 if job.owner.contract == 'nextapi' else 1}" for job in (*lost, half)}
    assert (first.events_count, bool(first.next_page_token)) == (3, True)
    assert Counter(receiver.event_ids) - before == Counter(ends)
    assert {each.body == bodies[each.event_id] for each in receiver.received} == {True}


async def idle(url: str) -> None:
    """Waits until webhooks has nothing left to deliver."""
    await Database(url).shows("SELECT 1 WHERE NOT EXISTS (SELECT FROM heads)")


async def test_what_is_older_and_waits_in_webhooks_comes_before_the_end(
    pool: Pool,
    desk: Desk,
    settings: WebhooksSettings,
    receiver: Receiver,
    copy_database: Callable[[str], str],
) -> None:
    since, job = utc_now(), job_of(1, "nextapi", url=f"{receiver.url}/1")
    world = await begin(pool, job, "completes")
    async with telling(pool, settings) as told:
        receiver.answer_with("/1", 500)
        await world.submitted()
        await told.relay()
        await receiver.arrival(1)
    older = copy_database(settings.database_url)
    await walk_to_the_end(world)
    await desk.sql("DELETE FROM outbox")

    async with telling(pool, settings.model_copy(update={"database_url": older})) as told:
        await hand_over(desk, since)
        await told.relay()
        await Database(older).shows("SELECT 1 FROM events HAVING count(*) = 2")
        receiver.answer_with("/1", 200)
        already = len(receiver.received)
        await Database(older).make_due()
        await idle(older)

    assert receiver.event_ids[already:] == [f"evt_{job.id}_1", f"evt_{job.id}_3"]
