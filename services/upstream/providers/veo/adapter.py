"""The adapter for Google's Veo models in the Gemini API."""

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext

import aiohttp
from typing_extensions import override

from services.common.egress.urls import has_same_origin
from services.upstream.bodies import UnusableBodyError
from services.upstream.call import ProviderCalls
from services.upstream.features import Features
from services.upstream.kind import Kind
from services.upstream.pictures import LOADS_AT_ONCE_MAX, Load, load_nothing, load_pictures
from services.upstream.provider import (
    BusyError,
    Done,
    Order,
    Pending,
    RefusalKind,
    Refused,
    UnknownError,
    UnreachableError,
)
from services.upstream.providers.veo import wire
from services.upstream.providers.veo.errors import means_unknown_task, reading_error, submission_error
from services.upstream.untraceable import UntraceableProvider


class VeoProvider(UntraceableProvider):
    """Veo, which takes no idempotency key, lists no operations, stops none and calls nobody back.

    Results are served by the API itself, behind the credential, and from there by a file host that must not see it.
    """

    def __init__(
        self, *, session: aiohttp.ClientSession, base_url: str, api_key: str, load: Load = load_nothing
    ) -> None:
        self._load = load
        self._loads = asyncio.Semaphore(LOADS_AT_ONCE_MAX)
        self._base_url = base_url.rstrip("/")
        self._headers = {"x-goog-api-key": api_key}
        self._calls = ProviderCalls(session, headers=self._headers)

    @override
    async def submit(
        self,
        order: Order,
        *,
        correlation_id: str,
        callback_url: str | None,
        timeout_seconds: float,
    ) -> str:
        """Starts one render and returns the name of its operation. Never retries; any doubt is an UnknownError."""
        url = self._base_url + wire.start_path(order.model)
        half_seconds = timeout_seconds / 2
        urls = wire.pictures_of(order)
        if urls and self._loads.locked():
            raise BusyError("as many pictures are being sent as fit into memory", retry_after_seconds=1.0)
        async with self._loads if urls else nullcontext():
            pictures = await load_pictures(urls, self._load, timeout_seconds=half_seconds)
            body = wire.render_order(order, pictures)
            answer = await self._calls.submit(url, json=body, timeout_seconds=half_seconds)
        if not answer.ok:
            raise submission_error(answer)
        try:
            return wire.parse_created(answer.body)
        except UnusableBodyError as error:
            raise UnknownError(f"submission accepted, answer unusable: {error}") from error

    @override
    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        """Returns where the operation is now. One that the API no longer knows is Refused(EXPIRED)."""
        answer = await self._calls.ask(f"{self._base_url}/{task_id}", timeout_seconds=timeout_seconds)
        if not answer.ok:
            if means_unknown_task(answer):
                return Refused(kind=RefusalKind.EXPIRED, detail="operation unknown")
            raise reading_error(answer)
        try:
            return wire.parse_operation(answer.body)
        except UnusableBodyError as error:
            raise UnreachableError(f"operation unreadable: {error}") from error

    @override
    def media_headers(self, url: str) -> Mapping[str, str]:
        """Returns the credential for a result that the API serves itself."""
        return self._headers if has_same_origin(url, self._base_url) else {}


KIND = Kind(
    name="veo",
    base_url="https://generativelanguage.googleapis.com/v1beta",
    open=VeoProvider,
    # 1080p takes 8 seconds, and so do reference images: what a route offers must go together.
    features=Features(
        resolutions=frozenset({"720p", "1080p"}),
        seconds=frozenset({4, 6, 8}),
        aspect_ratios=frozenset({"16:9", "9:16"}),
        image_references=3,
        video_references=0,
        audio_references=0,
        start_frame=True,
        end_frame=True,
        audio=frozenset({True}),
        watermark=frozenset({False}),
        seed=False,
    ),
    options={"person_generation": frozenset({"allow_all", "allow_adult", "dont_allow"})},
    loads=True,
    callbacks=False,
)
