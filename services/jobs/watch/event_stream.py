"""A job as server-sent events: the format of the HTML standard, section 9.2."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.common.clock import Clock
from services.common.errors import Reason, ServiceError, outage
from services.common.rpc.both_ends import request_id
from services.jobs.convert.json_text import compact_json
from services.jobs.domain.job import ENDED, Job, progress_percent, stage
from services.jobs.media_links import Links, as_stored, shown
from services.jobs.watch.job_watch import JobWatch
from services.jobs.watch.subscription import Subscription, WatchRequest

log = logging.getLogger(__name__)

OPENING = "retry: 2000\n\n"
"""How many milliseconds to wait before connecting again."""
KEEP_ALIVE = ": keep-alive\n\n"
GOOD_BYE = ": connect again\n\n"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often a stream says something, and for how long."""

    progress_seconds: float = 3.0
    heartbeat_seconds: float = 15.0
    stream_seconds_max: float = 15 * 60.0
    """After it the stream ends. A caller that wants more connects again."""


PACE = Pace()


@dataclass(frozen=True, kw_only=True)
class View:
    """How a contract shows a job."""

    contract: str
    status: Callable[[Job], str]
    poll: Callable[[Job, datetime], Any]
    """What a poll answers at a moment, as JSON values."""


class Narration:
    """The events of one job for one listener, who may have received some of them before."""

    def __init__(self, view: View, *, heard: str) -> None:
        self.is_over = False
        self._view = view
        self._heard = heard
        """The position of the last event that the listener received."""
        self._progress = -1

    def next(self, job: Job, now: datetime) -> str:
        """Returns the events that are due. Empty when there is nothing new."""
        if stage(job) == ENDED:
            return self._end(job, now)
        due = self._status(job, now)
        if job.started_at is not None:
            due += self._progressed(job, now)
        return due

    def _end(self, job: Job, now: datetime) -> str:
        self.is_over = True
        end = f"{job.id}/end"
        if self._heard == end:
            return ""
        return self._status(job, now) + event("end", self._view.poll(job, now), position=end)

    def _status(self, job: Job, now: datetime) -> str:
        position = f"{job.id}/{self._view.status(job)}"
        if position == self._heard:
            return ""
        self._heard = position
        return event("status", self._view.poll(job, now), position=position)

    def _progressed(self, job: Job, now: datetime) -> str:
        progress = progress_percent(job, now=now)
        if progress == self._progress:
            return ""
        self._progress = progress
        return event("progress", {"id": job.id, "progress": progress})


def event(name: str, content: Any, *, position: str = "") -> str:
    """Returns one event. A listener that connects again names the last `position` it received."""
    numbered = f"id: {position}\n" if position else ""
    return f"{numbered}event: {name}\ndata: {compact_json(content)}\n\n"


def _failure(error: ServiceError, view: View) -> str:
    return f"event: error\ndata: {error.envelope(view.contract).decode()}\n\n"


class EventStreams:
    """Streams of this process."""

    def __init__(self, watch: JobWatch, *, clock: Clock, pace: Pace = PACE, links: Links = as_stored) -> None:
        self.watch = watch
        self.links = links
        self._clock = clock
        self._pace = pace

    @property
    def seconds_max(self) -> float:
        """How long a stream may last."""
        return self._pace.stream_seconds_max

    async def open(self, wanted: WatchRequest, view: View, *, heard: str) -> AsyncGenerator[str, None]:
        """Yields the events of a job until it has ended, from the one after the position `heard` on.

        Raises what reading the job raises, and UNAVAILABLE, before the first. What goes wrong later is an event.
        """
        narration = Narration(view, heard=heard)
        async with self.watch.subscribe(wanted) as subscription:
            yield OPENING + narration.next(await shown(subscription.job, self.links), self._clock())
            try:
                async for events in self._rest(subscription, narration):
                    yield events
            except ServiceError as error:
                yield _failure(error, view)
            except Exception:
                log.exception("job=%s request_id=%s", wanted.job_id, request_id.get())
                yield _failure(outage(Reason.INTERNAL), view)

    async def _rest(self, subscription: Subscription, narration: Narration) -> AsyncIterator[str]:
        pace, time = self._pace, asyncio.get_running_loop().time
        spoken_at = time()
        until = spoken_at + pace.stream_seconds_max
        while not narration.is_over:
            if subscription.is_released or time() >= until:
                yield GOOD_BYE
                return
            silence = spoken_at + pace.heartbeat_seconds - time()
            renders = subscription.job.started_at is not None
            await subscription.changed(min(silence, pace.progress_seconds) if renders else silence)
            events = narration.next(await shown(subscription.job, self.links), self._clock())
            if not events and time() >= spoken_at + pace.heartbeat_seconds:
                events = KEEP_ALIVE
            if events:
                spoken_at = time()
                yield events
