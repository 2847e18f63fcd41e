"""What operators see of events that were refused, and how they have them offered again, over gRPC."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from reelgate.admin.v1 import outbox_admin_service_pb2

from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool
from services.jobs.duties.relay_events import relay_events
from services.jobs.store.outbox import SqlOutbox
from tests.integration.jobs.desk import NOTE, Desk, open_desk
from tests.integration.jobs.test_outbox import FILL, FussyIntake

OLDER = "UPDATE outbox SET occurred_at = occurred_at - interval '1 day' WHERE event_id = 'd'"


@pytest.fixture
async def desk(jobs_pool: Pool) -> AsyncIterator[Desk]:
    async with open_desk(jobs_pool) as opened:
        await opened.sql(FILL)
        await opened.sql(OLDER)
        await hand_over(opened, FussyIntake(refused={"b", "d"}))
        yield opened


async def hand_over(desk: Desk, intake: FussyIntake) -> None:
    for _ in range(2):
        await relay_events(outbox=SqlOutbox(desk.pool), intake=intake).run_once()


async def listed(desk: Desk, **asked: Any) -> Any:
    return await desk.outbox.ListRefusedEvents(outbox_admin_service_pb2.ListRefusedEventsRequest(**asked))


async def retry(desk: Desk, event_id: str | None = None) -> int:
    request = outbox_admin_service_pb2.RetryRefusedEventsRequest(event_id=event_id, audit=NOTE)
    return int((await desk.outbox.RetryRefusedEvents(request)).retried_count)


async def test_refused_events_are_listed_oldest_first_with_why_and_counted(desk: Desk) -> None:
    everything, first = await listed(desk), await listed(desk, page_size=1)
    rest = await listed(desk, page_size=1, page_token=first.next_page_token)

    assert [(event.event_id, event.job_id, event.refusal) for event in everything.events] == [
        ("d", "vid_2", "INVALID_FIELD: no"),
        ("b", "job_1", "INVALID_FIELD: no"),
    ]
    assert all(event.due_at > event.occurred_at for event in everything.events)
    assert ([event.event_id for event in first.events], first.refused_count) == (["d"], 2)
    assert ([event.event_id for event in rest.events], rest.next_page_token) == (["b"], "")


async def test_one_that_is_retried_leaves_before_the_later_ones_of_its_job_and_alone(desk: Desk) -> None:
    mended = FussyIntake()

    assert await retry(desk, "b") == 1
    await hand_over(desk, mended)

    assert mended.taken == ["b", "c"]
    assert [event.event_id for event in (await listed(desk)).events] == ["d"]


async def test_every_event_that_is_retried_is_audited_once_however_often_it_is_asked(desk: Desk) -> None:
    assert [await retry(desk), await retry(desk), await retry(desk, "b")] == [2, 0, 0]

    entries = await desk.entries()
    assert {(entry.action, entry.subject_id, entry.reason) for entry in entries} == {
        ("event.retry", "b", NOTE.reason),
        ("event.retry", "d", NOTE.reason),
    }
    assert len(entries) == 2
    assert json.loads(entries[-1].details_json).keys() == {"job_id", "refusal"}


async def test_one_that_is_refused_again_waits_and_can_be_retried_again(desk: Desk) -> None:
    await retry(desk)
    await hand_over(desk, FussyIntake(refused={"b", "d"}))

    assert (await listed(desk)).refused_count == 2
    assert await retry(desk) == 2


@pytest.mark.parametrize("event_id", ["a", "c", "nobody"])
async def test_an_event_that_was_not_refused_is_not_found(desk: Desk, event_id: str) -> None:
    with pytest.raises(ServiceError, match=f'There is no refused event "{event_id}"') as refused:
        await retry(desk, event_id)

    assert refused.value.reason is Reason.EVENT_NOT_FOUND
    assert await desk.entries() == []


@pytest.mark.parametrize(
    "token", ["b", "yesterday/b", "2026-01-01T00:00:00+00:00", "9999-12-31T23:59:59-10:00/b"]
)
async def test_a_token_that_no_page_gave_is_refused(desk: Desk, token: str) -> None:
    with pytest.raises(ServiceError, match="Field page_token must be the next_page_token") as refused:
        await listed(desk, page_token=token)

    assert refused.value.reason is Reason.INVALID_FIELD
