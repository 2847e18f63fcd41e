"""The adapter for MiniMax's HTTP API."""

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
from services.upstream.providers.minimax import wire
from services.upstream.providers.minimax.errors import means_unknown_task, reading_error, submission_error
from services.upstream.untraceable import UntraceableProvider

REFUSALS_TO_STOP: Final = frozenset({400, 409, 422})
"""Which of them answers for a task that runs is not documented."""


class MinimaxProvider(UntraceableProvider):
    """MiniMax, which takes no idempotency key, and lists tasks without anything of ours.

    It calls back only an address that answers a challenge, whose form is not documented, so orders name none.
    A result has a signed address elsewhere, and a new one whenever the task is read.
    """

    def __init__(self, *, session: aiohttp.ClientSession, base_url: str, api_key: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._calls = ProviderCalls(session, headers=self._headers)

    @override
    async def submit(
        self, order: Order, *, correlation_id: str, callback_url: str | None, timeout_seconds: float
    ) -> str:
        """Starts one render and returns its task id. Never retries; any doubt is an UnknownError."""
        answer = await self._calls.submit(
            f"{self._base_url}/v2/video_generation",
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
        answer = await self._calls.ask(
            f"{self._base_url}/v2/query/video_generation/{task_id}", timeout_seconds=timeout_seconds
        )
        if means_unknown_task(answer):
            return Refused(kind=RefusalKind.EXPIRED, detail="task unknown")
        if not answer.ok:
            raise reading_error(answer)
        try:
            return wire.parse_task(answer.body)
        except UnusableBodyError as error:
            raise UnreachableError(f"task unreadable: {error}") from error

    @override
    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        """Stops a task that is still queued, which is all that MiniMax offers. Returns whether the task has ended.

        DELETE deletes the result of a task that has one, so the task is read first.
        """
        async with within(timeout_seconds):
            found = await self.check(task_id, timeout_seconds=timeout_seconds)
            if not isinstance(found, Pending) or found.running:
                return isinstance(found, Refused)
            answer = await self._delete(task_id, timeout_seconds=timeout_seconds)
            if answer.ok or means_unknown_task(answer):
                return True
            if answer.status not in REFUSALS_TO_STOP:
                raise reading_error(answer)
            return isinstance(await self.check(task_id, timeout_seconds=timeout_seconds), Refused)

    @override
    def media_headers(self, url: str) -> Mapping[str, str]:
        """Returns nothing for a result, which has a signed address elsewhere."""
        return self._headers if has_same_origin(url, self._base_url) else {}

    async def _delete(self, task_id: str, *, timeout_seconds: float) -> Answer:
        return await self._calls.ask(
            f"{self._base_url}/v2/video_generation/{task_id}",
            method="DELETE",
            timeout_seconds=timeout_seconds,
        )


KIND = Kind(
    name="minimax",
    base_url="https://api.minimax.io",
    open=MinimaxProvider,
    features=Features(
        resolutions=frozenset(wire.RESOLUTIONS),
        # Some of its pages begin at 5 seconds: a route claims what its model takes.
        seconds=frozenset(range(4, 16)),
        aspect_ratios=frozenset({wire.ADAPTIVE, "21:9", "16:9", "4:3", "1:1", "3:4", "9:16"}),
        image_references=9,
        video_references=3,
        audio_references=3,
        start_frame=True,
        end_frame=True,
        audio=frozenset({True}),
        watermark=frozenset({False, True}),
        prompt_characters=7_000,
        seed=False,
    ),
    callbacks=False,
)
