"""What a call brings beside its request: who calls, how long it may take, what its caller has seen; and how a stream answers it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from grpc.aio import ServicerContext

from services.common.auth.authentication import Caller, credential, view_of_caller
from services.common.rpc.interceptors import answer_header, metadata_of
from services.common.telemetry.rpc_metrics import leave_untimed
from services.jobs.domain.requests import Buyer, Caps, Owner
from services.jobs.ports import Jobs
from services.jobs.watch.subscription import WatchRequest

ANSWER_SECONDS = 0.5
"""What a call needs to answer in before its deadline."""
LAST_EVENT_ID = "last-event-id"
CONTENT_TYPE = "text/event-stream"
HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""So that nothing on the way keeps events back."""


def owner() -> Owner:
    """Returns the owner that the caller's key belongs to. Only inside an authenticated method."""
    return buyer().owner


def buyer() -> Buyer:
    """Returns that owner with its key. Only inside an authenticated method."""
    return view_of_caller(_buyer)


def _buyer(found: Caller) -> Buyer:
    return Buyer(
        owner=Owner(account_id=found.account_id, environment=found.environment, contract=found.contract),
        key_id=found.key_id,
        models_allowed=found.models,
        caps=Caps(account_jobs=found.account_jobs_at_once, key_jobs=found.key_jobs_at_once),
        moderation_profile=found.moderation_profile,
        moderation_profiles=found.moderation_profiles,
    )


def seconds_to_wait(wanted: float, context: ServicerContext[Any, Any]) -> float:
    """Returns how long a call may wait that asked for `wanted`: it must answer before its own deadline."""
    if wanted:
        leave_untimed()
    left: Any = context.time_remaining()
    return wanted if left is None else min(wanted, left - ANSWER_SECONDS)


def watch_request(job_id: str, jobs: Jobs) -> WatchRequest:
    """Returns the caller's wish to follow one of its jobs. Only inside an authenticated method."""
    found = owner()
    return WatchRequest(
        job_id=job_id,
        account_id=found.account_id,
        credential=credential(),
        read=partial(jobs.get, job_id, owner=found),
    )


def last_event_id(context: ServicerContext[Any, Any]) -> str:
    """Returns the position of the last event that the caller received before. Empty: none."""
    return metadata_of(context).get(LAST_EVENT_ID, "")


async def event_stream(events: AsyncGenerator[str, None]) -> AsyncIterator[HttpBody]:
    """Yields events as the parts of one HTTP body. Raises what the first of them raises."""
    async with aclosing(events):
        first = await anext(events)
        for name, value in HEADERS.items():
            answer_header(name, value)
        yield HttpBody(content_type=CONTENT_TYPE, data=first.encode())
        async for following in events:
            yield HttpBody(data=following.encode())
