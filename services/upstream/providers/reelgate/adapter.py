"""The adapter for another Reelgate, by its NextAPI contract."""

import time
from collections.abc import Callable, Mapping

import aiohttp

from services.common.egress.urls import has_same_origin
from services.upstream.bodies import UnusableBodyError
from services.upstream.call import Answer, ProviderCalls, within
from services.upstream.features import ASPECT_RATIOS, RESOLUTIONS, Features
from services.upstream.kind import Kind
from services.upstream.provider import (
    Done,
    Hint,
    Order,
    Pending,
    RefusalKind,
    Refused,
    UnknownError,
    UnreachableError,
)
from services.upstream.providers.reelgate import wire
from services.upstream.providers.reelgate.errors import (
    means_unknown_task,
    reading_error,
    submission_error,
)
from services.upstream.timed_signatures import hint_of

CREATED_MARGIN_SECONDS = 300.0
"""How far its clock may be behind ours."""
LIST_PAGE = 100
LIST_OFFSET_MAX = 10_000
CONFLICT = 409
_SIGNATURE = "x-nextapi-signature"


class ReelgateProvider:
    """Another Reelgate, which keeps the id of an attempt with the job: as its Idempotency-Key, and in its metadata.

    Its events are signed. Without the secret they are hints, which the metadata of the job confirm.
    """

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        base_url: str,
        api_key: str,
        callback_secret: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._calls = ProviderCalls(session, headers=self._headers)
        self._jobs_url = base_url.rstrip("/") + "/video/generations"
        self._callback_secret = callback_secret
        self._now = now

    async def submit(
        self, order: Order, *, correlation_id: str, callback_url: str | None, timeout_seconds: float
    ) -> str:
        """Starts one render and returns its task id. Never retries; any doubt is an UnknownError.

        Whatever between us and it sends the order twice starts one job, because of the key.
        """
        answer = await self._calls.submit(
            self._jobs_url,
            json=wire.render_order(order, correlation_id=correlation_id, callback_url=callback_url),
            headers={"Idempotency-Key": correlation_id},
            timeout_seconds=timeout_seconds,
        )
        if not answer.ok:
            raise submission_error(answer)
        try:
            return wire.parse_created(answer.body)
        except UnusableBodyError as error:
            raise UnknownError(f"submission accepted, answer unusable: {error}") from error

    async def find(
        self, correlation_id: str, *, model: str, created_after: float, timeout_seconds: float
    ) -> str | None:
        """Returns the job whose metadata have the correlation id, or None. Jobs that come meanwhile hide none."""
        oldest = created_after - CREATED_MARGIN_SECONDS
        async with within(timeout_seconds):
            for offset in range(0, LIST_OFFSET_MAX + 1, LIST_PAGE):
                page = await self._page(offset, timeout_seconds=timeout_seconds)
                for job in page.jobs:
                    if job.attempt == correlation_id:
                        return job.task_id
                if not page.has_more or page.jobs[-1].created_at < oldest:
                    return None
        raise UnreachableError("there are more jobs since then than a list shows")

    async def carries(self, task_id: str, correlation_id: str, *, timeout_seconds: float) -> bool:
        """Returns whether a job's metadata have the correlation id."""
        answer = await self._calls.ask(self._url(task_id), timeout_seconds=timeout_seconds)
        if means_unknown_task(answer):
            return False
        if not answer.ok:
            raise reading_error(answer)
        try:
            return bool(correlation_id) and wire.parse_attempt(answer.body) == correlation_id
        except UnusableBodyError as error:
            raise UnreachableError(f"job unreadable: {error}") from error

    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        """Returns where the task is now. A task the provider no longer knows is Refused(EXPIRED)."""
        return self._job(await self._calls.ask(self._url(task_id), timeout_seconds=timeout_seconds))

    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        """Stops a task, if the other one still can. Returns whether it has ended without a result."""
        async with within(timeout_seconds):
            found = await self.check(task_id, timeout_seconds=timeout_seconds)
            if not isinstance(found, Pending):
                return isinstance(found, Refused)
            url = f"{self._url(task_id)}/cancel"
            answer = await self._calls.ask(url, method="POST", timeout_seconds=timeout_seconds)
        if answer.status == CONFLICT:
            if answer.retry_after_seconds is not None:
                raise UnreachableError("the job is just being submitted, and can be stopped a moment later")
            return False
        found = self._job(answer)
        if isinstance(found, Pending):
            raise UnreachableError("asked to stop the job, which has not ended yet")
        return isinstance(found, Refused)

    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        """Returns the job that an event is about; if there is a secret, None unless it was signed with that."""
        try:
            task_id = wire.parse_event(body)
        except UnusableBodyError:
            return None
        signature, secret = headers.get(_SIGNATURE, ""), self._callback_secret
        return hint_of(task_id, signature, body, secret=secret, joint=b".", now=self._now())

    def media_headers(self, url: str) -> Mapping[str, str]:
        """Returns the credential for a result that the API serves itself."""
        return self._headers if has_same_origin(url, self._jobs_url) else {}

    async def _page(self, offset: int, *, timeout_seconds: float) -> wire.Page:
        query = {"limit": str(LIST_PAGE), "offset": str(offset)}
        answer = await self._calls.ask(self._jobs_url, query=query, timeout_seconds=timeout_seconds)
        if not answer.ok:
            raise reading_error(answer)
        try:
            return wire.parse_page(answer.body)
        except UnusableBodyError as error:
            raise UnreachableError(f"list unreadable: {error}") from error

    def _job(self, answer: Answer) -> Pending | Done | Refused:
        if means_unknown_task(answer):
            return Refused(kind=RefusalKind.EXPIRED, detail="job unknown")
        if not answer.ok:
            raise reading_error(answer)
        try:
            return wire.parse_task(answer.body)
        except UnusableBodyError as error:
            raise UnreachableError(f"job unreadable: {error}") from error

    def _url(self, task_id: str) -> str:
        return f"{self._jobs_url}/{task_id}"


KIND = Kind(
    name="reelgate",
    base_url=None,
    open=ReelgateProvider,
    features=Features(
        resolutions=frozenset(RESOLUTIONS),
        seconds=frozenset(range(4, 16)),
        aspect_ratios=frozenset(ASPECT_RATIOS),
        image_references=9,
        video_references=3,
        audio_references=3,
        start_frame=True,
        end_frame=True,
        audio=frozenset({True, False}),
        watermark=frozenset({True, False}),
        seed=True,
    ),
    callbacks=True,
    callback_headers=frozenset({_SIGNATURE}),
    takes_callback_secret=True,
)
