"""Telling the ends of jobs once more, as after the webhooks database was restored to an older state than that of jobs.

A job's last event is made anew from its row: with the id, the type and the moment that it had the first time, and with
the same body unless an operator has changed since what the job was charged. Webhooks skips the events that it has.
Earlier events of a job are not made again: one that came after the last would be out of order.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from services.common.audit.note import AuditNote
from services.common.paging import invalid_token, moment_in, moment_token
from services.jobs.domain.events import OutboxEvent
from services.jobs.domain.states import Status
from services.jobs.media_links import Links, as_stored
from services.jobs.ports import RenderEvent
from services.jobs.store.endings import Ending, Place, SqlEndings
from services.jobs.store.retention import Kept, SqlRetention

EVENTS_MAX = 100
"""In one page."""
ACCOUNTS_MAX = 50
"""That one page looks at."""


@dataclass(frozen=True, kw_only=True)
class HandedOver:
    """What was done in a page."""

    events_count: int
    """How many events are in the outbox that were not."""
    next_page_token: str
    """Empty after the last page."""


@dataclass(frozen=True, kw_only=True)
class Teller:
    """Puts the last events of ended jobs into the outbox again."""

    retention: SqlRetention
    endings: SqlEndings
    render_event: RenderEvent
    links: Links = as_stored

    async def hand_over(
        self, since: datetime, page_token: str, *, note: AuditNote, events_max: int = EVENTS_MAX
    ) -> HandedOver:
        """Hands over the ends of one page of jobs that ended at a moment or later: the first page, or that of a token.

        Refuses with INVALID_FIELD a token that no page gave.
        """
        place = _place_in(page_token)
        accounts = await self.retention.accounts(
            Kept.CONTENT, after=place.account_id if place else "", limit=ACCOUNTS_MAX
        )
        places = [Place(account_id=account_id, ended_at=since) for account_id in accounts]
        found: list[Ending] = []
        for begin in [place, *places] if place else places:
            page = await self.endings.page(begin, limit=events_max - len(found))
            found += page
            place = _place_after(page[-1]) if page else begin
            if len(found) == events_max:
                break
        jobs = await self.links([each.job for each in found])
        events = [self._event(replace(each, job=job)) for each, job in zip(found, jobs, strict=True)]
        count = await self.endings.hand_over(events, note=note)
        is_last = len(found) < events_max and len(accounts) < ACCOUNTS_MAX
        return HandedOver(events_count=count, next_page_token="" if is_last or not place else _token(place))

    def _event(self, ending: Ending) -> OutboxEvent:
        job = ending.job
        assert job.ended_at is not None
        status = Status.PROCESSING if ending.was_taken else Status.PENDING
        event = self.render_event(replace(job, status=status, ended_at=None), job, job.ended_at)
        assert event is not None, "every contract tells of the end"
        return OutboxEvent(
            event_id=event.id,
            job_id=job.id,
            owner=job.owner,
            type=event.type,
            sequence=event.sequence,
            target_url=job.callback_url or "",
            body=event.body,
            occurred_at=event.occurred_at,
            traceparent=job.traceparent,
        )


def _place_after(ending: Ending) -> Place:
    job = ending.job
    assert job.ended_at is not None
    return Place(account_id=job.owner.account_id, ended_at=job.ended_at, job_id=job.id)


def _token(place: Place) -> str:
    return moment_token(place.ended_at, f"{place.account_id} {place.job_id}")


def _place_in(page_token: str) -> Place | None:
    if not page_token:
        return None
    moment, item = moment_in(page_token)
    account_id, space, job_id = item.partition(" ")
    if not (account_id and space):
        raise invalid_token(page_token)
    return Place(account_id=account_id, ended_at=moment, job_id=job_id)
