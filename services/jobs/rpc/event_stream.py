"""A job as server-sent events: the format of the HTML standard, section 9.2."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from grpc.aio import ServicerContext

from services.common.clock import Clock
from services.common.errors import Reason, ServiceError, outage
from services.common.rpc.interceptors import answer_header, contract, metadata_of, request_id
from services.jobs.convert.json_text import compact_json
from services.jobs.domain import ENDED, Job, progress_percent, stage
from services.jobs.rpc.watching import JobWatch, Sought, Watcher

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/event-stream"
HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""So that nothing on the way keeps events back."""
LAST_EVENT_ID = "last-event-id"
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
    """After it the stream ends, and whoever still wants to know connects again."""


PACE = Pace()


@dataclass(frozen=True, kw_only=True)
class View:
    """How a contract shows a job."""

    status: Callable[[Job], str]
    poll: Callable[[Job, datetime], Any]
    """What a poll answers at a moment, as JSON values."""


class Narration:
    """What is told about one job to a listener, who may have heard some of it before."""

    def __init__(self, view: View, *, heard: str) -> None:
        self.is_over = False
        self._view = view
        self._heard = heard
        """The position of the last event that the listener knows."""
        self._progress = -1

    def next(self, job: Job, now: datetime) -> str:
        """Returns the events that are due. Empty when there is nothing new."""
        if stage(job) == ENDED:
            return self._end(job, now)
        told = self._status(job, now)
        if job.started_at is not None:
            told += self._progressed(job, now)
        return told

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
    """Returns one event. A listener that connects again names the last `position` it was given."""
    numbered = f"id: {position}\n" if position else ""
    return f"{numbered}event: {name}\ndata: {compact_json(content)}\n\n"


def _failure(error: ServiceError) -> HttpBody:
    line = error.envelope(contract.get()).decode()
    return HttpBody(data=f"event: error\ndata: {line}\n\n".encode())


class EventStreams:
    """Streams of this process."""

    def __init__(self, watch: JobWatch, *, clock: Clock, pace: Pace = PACE) -> None:
        self._watch = watch
        self._clock = clock
        self._pace = pace

    async def open(
        self, sought: Sought, view: View, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[HttpBody]:
        """Yields the events of a job until it has ended. Raises what reading it raises, and UNAVAILABLE.

        What goes wrong after the first is told as an event.
        """
        narration = Narration(view, heard=metadata_of(context).get(LAST_EVENT_ID, ""))
        async with self._watch.watching(sought) as watcher:
            for name, value in HEADERS.items():
                answer_header(name, value)
            first = OPENING + narration.next(watcher.job, self._clock())
            yield HttpBody(content_type=CONTENT_TYPE, data=first.encode())
            try:
                async for told in self._rest(watcher, narration):
                    yield HttpBody(data=told.encode())
            except ServiceError as error:
                yield _failure(error)
            except Exception:
                log.exception("job=%s request_id=%s", sought.job_id, request_id.get())
                yield _failure(outage(Reason.INTERNAL))

    async def _rest(self, watcher: Watcher, narration: Narration) -> AsyncIterator[str]:
        pace, time = self._pace, asyncio.get_running_loop().time
        told_at = time()
        until = told_at + pace.stream_seconds_max
        while not narration.is_over:
            if watcher.is_released or time() >= until:
                yield GOOD_BYE
                return
            silence = told_at + pace.heartbeat_seconds - time()
            renders = watcher.job.started_at is not None
            await watcher.changed(min(silence, pace.progress_seconds) if renders else silence)
            told = narration.next(watcher.job, self._clock())
            if not told and time() >= told_at + pace.heartbeat_seconds:
                told = KEEP_ALIVE
            if told:
                told_at = time()
                yield told
