"""The adapter for OpenRouter's video API."""

import time
from collections.abc import Callable, Mapping

import aiohttp
from typing_extensions import override

from services.common.egress.urls import has_same_origin
from services.upstream.bodies import UnusableBodyError
from services.upstream.call import ProviderCalls
from services.upstream.features import Features
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
from services.upstream.providers.openrouter import wire
from services.upstream.providers.openrouter.errors import (
    means_unknown_task,
    reading_error,
    submission_error,
)
from services.upstream.timed_signatures import hint_of
from services.upstream.untraceable import UntraceableProvider

_SIGNATURE = "x-openrouter-signature"


class OpenRouterProvider(UntraceableProvider):
    """OpenRouter, which takes no idempotency key, lists no tasks and stops none.

    Results are served by the API itself, behind the credential. Callbacks are signed with a secret of the workspace, if it
    has one; without it they are hints.
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
        self._videos_url = base_url.rstrip("/") + "/videos"
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._calls = ProviderCalls(session, headers=self._headers)
        self._callback_secret = callback_secret
        self._now = now

    @override
    async def submit(
        self,
        order: Order,
        *,
        correlation_id: str,
        callback_url: str | None,
        timeout_seconds: float,
    ) -> str:
        """Starts one render and returns its task id. Never retries; any doubt is an UnknownError."""
        body = wire.render_order(order, callback_url=callback_url)
        answer = await self._calls.submit(self._videos_url, json=body, timeout_seconds=timeout_seconds)
        if not answer.ok:
            raise submission_error(answer)
        try:
            return wire.parse_created(answer.body)
        except UnusableBodyError as error:
            raise UnknownError(f"submission accepted, answer unusable: {error}") from error

    @override
    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        """Returns where the task is now. A task the provider no longer knows is Refused(EXPIRED)."""
        task_url = f"{self._videos_url}/{task_id}"
        answer = await self._calls.ask(task_url, timeout_seconds=timeout_seconds)
        if not answer.ok:
            if means_unknown_task(answer):
                return Refused(kind=RefusalKind.EXPIRED, detail="task unknown")
            raise reading_error(answer)
        try:
            return wire.parse_task(answer.body, content_url=f"{task_url}/content?index=0")
        except UnusableBodyError as error:
            raise UnreachableError(f"task unreadable: {error}") from error

    @override
    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        """Returns the task that a callback names; if there is a secret, None unless it was signed with that."""
        try:
            task_id = wire.parse_event(body)
        except UnusableBodyError:
            return None
        signature, secret = headers.get(_SIGNATURE, ""), self._callback_secret
        return hint_of(task_id, signature, body, secret=secret, joint=b",", now=self._now())

    @override
    def media_headers(self, url: str) -> Mapping[str, str]:
        """Returns the credential for a result that the API serves itself."""
        return self._headers if has_same_origin(url, self._videos_url) else {}


KIND = Kind(
    name="openrouter",
    base_url="https://openrouter.ai/api/v1",
    open=OpenRouterProvider,
    features=Features(
        resolutions=frozenset({"480p", "720p", "1080p"}),
        seconds=frozenset(range(1, 31)),
        aspect_ratios=frozenset({"16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"}),
        image_references=9,
        video_references=3,
        audio_references=3,
        start_frame=True,
        end_frame=True,
        audio=frozenset({False, True}),
        watermark=frozenset({False}),
        seed=True,
    ),
    callbacks=True,
    callback_headers=frozenset({_SIGNATURE}),
    takes_callback_secret=True,
)
