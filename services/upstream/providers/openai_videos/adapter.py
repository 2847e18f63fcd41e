"""The adapter for OpenAI's video API, which others imitate: new-api, LiteLLM, Bifrost and their like."""

import asyncio
from collections.abc import Mapping

import aiohttp
from typing_extensions import override

from services.common.egress.urls import has_same_origin
from services.upstream.bodies import UnusableBodyError
from services.upstream.call import Answer, ProviderCalls
from services.upstream.kind import Kind
from services.upstream.pictures import LOADS_AT_ONCE_MAX, Load, load_nothing, load_pictures
from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    BusyError,
    Done,
    Order,
    Pending,
    RefusalKind,
    Refused,
    UnknownError,
    UnreachableError,
)
from services.upstream.providers.openai_videos import wire
from services.upstream.providers.openai_videos.errors import (
    means_unknown_task,
    reading_error,
    submission_error,
)
from services.upstream.untraceable import UntraceableProvider


class OpenAIVideosProvider(UntraceableProvider):
    """OpenAI's video API and its dialects, which take no idempotency key and keep nothing of ours with a task.

    Results are served by the API itself, behind the credential, or at an address that the answer names.
    """

    def __init__(
        self, *, session: aiohttp.ClientSession, base_url: str, api_key: str, load: Load = load_nothing
    ) -> None:
        self._load = load
        self._loads = asyncio.Semaphore(LOADS_AT_ONCE_MAX)
        self._videos_url = base_url.rstrip("/") + "/videos"
        self._headers = {"Authorization": f"Bearer {api_key}"}
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
        """Starts one render and returns its task id. Never retries; any doubt is an UnknownError."""
        dialect = order.options.get("dialect", wire.OPENAI)
        if missing := wire.inexpressible(order, dialect=dialect):
            raise BrokenError(f"the dialect {dialect} cannot ask for {missing}", cause=BrokenCause.MODEL)
        answer = await self._send(order, dialect=dialect, timeout_seconds=timeout_seconds)
        if not answer.ok:
            raise submission_error(answer)
        try:
            return wire.parse_created(answer.body)
        except UnusableBodyError as error:
            raise UnknownError(f"submission accepted, answer unusable: {error}") from error

    @override
    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        """Returns where the task is now. A task the provider no longer knows is Refused(EXPIRED)."""
        task_url = f"{self._videos_url}/{wire.task_path(task_id)}"
        answer = await self._calls.ask(task_url, timeout_seconds=timeout_seconds)
        if not answer.ok:
            if means_unknown_task(answer):
                return Refused(kind=RefusalKind.EXPIRED, detail="task unknown")
            raise reading_error(answer)
        try:
            return wire.parse_task(answer.body, content_url=f"{task_url}/content")
        except UnusableBodyError as error:
            raise UnreachableError(f"task unreadable: {error}") from error

    async def _send(self, order: Order, *, dialect: str, timeout_seconds: float) -> Answer:
        body = wire.render_order(order, dialect=dialect)
        urls = wire.picture_of(order, dialect=dialect)
        if not urls:
            return await self._calls.submit(self._videos_url, json=body, timeout_seconds=timeout_seconds)
        if self._loads.locked():
            raise BusyError("as many pictures are being sent as fit into memory", retry_after_seconds=1.0)
        half_seconds = timeout_seconds / 2
        async with self._loads:
            [picture] = await load_pictures(urls, self._load, timeout_seconds=half_seconds)
            form = aiohttp.FormData(body)
            name = f"picture.{picture.media_type.removeprefix('image/')}"
            form.add_field("input_reference", picture.content, filename=name, content_type=picture.media_type)
            return await self._calls.submit(self._videos_url, form=form, timeout_seconds=half_seconds)

    @override
    def media_headers(self, url: str) -> Mapping[str, str]:
        """Returns the credential for a result that the API serves itself."""
        return self._headers if has_same_origin(url, self._videos_url) else {}


KIND = Kind(
    name="openai_videos",
    base_url="https://api.openai.com/v1",
    open=OpenAIVideosProvider,
    features=wire.FEATURES[wire.NEW_API],
    options={"dialect": frozenset(wire.FEATURES)},
    loads=True,
    callbacks=False,
)
