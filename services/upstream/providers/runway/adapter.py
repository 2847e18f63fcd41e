"""The adapter for Runway's HTTP API."""

from collections.abc import Mapping
from typing import Final

import aiohttp
from typing_extensions import override

from services.common.egress.urls import has_same_origin
from services.upstream.bodies import UnusableBodyError
from services.upstream.call import Answer, ProviderCalls, within
from services.upstream.features import Features
from services.upstream.kind import Kind
from services.upstream.provider import (
    Done,
    Order,
    Pending,
    RefusalKind,
    Refused,
    UnknownError,
    UnreachableError,
)
from services.upstream.providers.runway import wire
from services.upstream.providers.runway.errors import means_unknown_task, reading_error, submission_error
from services.upstream.untraceable import UntraceableProvider

API_VERSION: Final = "2024-11-06"
"""Runway wants to be told which API it is asked by."""


class RunwayProvider(UntraceableProvider):
    """Runway (Seedance), which takes no idempotency key, lists nothing and calls nobody back.

    A result has a signed address elsewhere, and a new one whenever the task is read.
    """

    def __init__(self, *, session: aiohttp.ClientSession, base_url: str, api_key: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._credential = {"Authorization": f"Bearer {api_key}"}
        self._calls = ProviderCalls(session, headers={**self._credential, "X-Runway-Version": API_VERSION})

    @override
    async def submit(
        self, order: Order, *, correlation_id: str, callback_url: str | None, timeout_seconds: float
    ) -> str:
        """Starts one render and returns its task id. Never retries; any doubt is an UnknownError."""
        answer = await self._calls.submit(
            self._base_url + wire.path_of(order),
            json=wire.render_order(order),
            timeout_seconds=timeout_seconds,
        )
        if not answer.ok:
            raise submission_error(answer)
        try:
            return wire.parse_created(answer.body)
        except UnusableBodyError as error:
            raise UnknownError(f"submission accepted, answer unusable: {error}") from error

    @override
    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        """Returns where the task is now. A task the provider no longer knows is Refused(EXPIRED)."""
        answer = await self._ask("GET", task_id, timeout_seconds=timeout_seconds)
        if answer is None:
            return Refused(kind=RefusalKind.EXPIRED, detail="task unknown")
        try:
            return wire.parse_task(answer.body)
        except UnusableBodyError as error:
            raise UnreachableError(f"task unreadable: {error}") from error

    @override
    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        """Stops a task that has not ended. Returns whether it has ended without a result.

        DELETE deletes the result of a task that has one, so the task is read first. If it ends in between, its result is
        deleted, and it has ended without one too.
        """
        async with within(timeout_seconds):
            found = await self.check(task_id, timeout_seconds=timeout_seconds)
            if isinstance(found, Pending):
                await self._ask("DELETE", task_id, timeout_seconds=timeout_seconds)
            return not isinstance(found, Done)

    @override
    def media_headers(self, url: str) -> Mapping[str, str]:
        """Returns nothing for a result, which has a signed address elsewhere."""
        return self._credential if has_same_origin(url, self._base_url) else {}

    async def _ask(self, method: str, task_id: str, *, timeout_seconds: float) -> Answer | None:
        """Returns what is answered about a task. None: there is no such task."""
        answer = await self._calls.ask(
            f"{self._base_url}/v1/tasks/{task_id}", method=method, timeout_seconds=timeout_seconds
        )
        if not answer.ok and not means_unknown_task(answer):
            raise reading_error(answer)
        return answer if answer.ok else None


KIND = Kind(
    name="runway",
    base_url="https://api.dev.runwayml.com",
    open=RunwayProvider,
    features=Features(
        resolutions=frozenset(wire.PIXELS),
        seconds=frozenset(range(4, 16)),
        aspect_ratios=frozenset({"21:9", "16:9", "4:3", "1:1", "3:4", "9:16"}),
        image_references=9,
        video_references=3,
        audio_references=3,
        start_frame=True,
        end_frame=True,
        audio=frozenset({False, True}),
        watermark=frozenset({False}),
        prompt_characters=3_500,
        seed=False,
    ),
    callbacks=False,
)
