"""The adapter for Replicate's predictions API."""

import time
from collections.abc import Callable, Mapping

import aiohttp

from services.common.egress.urls import has_same_origin
from services.upstream import standard_webhooks
from services.upstream.bodies import UnusableBodyError
from services.upstream.call import Answer, ProviderCalls, within
from services.upstream.callback_keys import CallbackKeys
from services.upstream.features import ASPECT_RATIOS, RESOLUTIONS, Features
from services.upstream.kind import Kind
from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    Done,
    Hint,
    Order,
    Pending,
    RefusalKind,
    Refused,
    UnknownError,
    UnreachableError,
    UnsearchableError,
)
from services.upstream.providers.replicate import wire
from services.upstream.providers.replicate.errors import reading_error, submission_error

BASE_URL = "https://api.replicate.com/v1"
CREATED_MARGIN_SECONDS = 300.0
KEY_TIMEOUT_SECONDS = 5.0
LIST_PAGES_MAX = 20
NOT_FOUND = 404


class ReplicateProvider:
    """Replicate's official models (Seedance), which take no idempotency key and keep nothing of ours with a prediction.

    Its callbacks are signed, and tell the name of a prediction whose submission was not answered. What it stores is gone an
    hour after a prediction ended. The credential goes to `base_url` only.
    """

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        base_url: str,
        api_key: str,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._calls = ProviderCalls(session, headers=self._headers)
        self._base_url = base_url.rstrip("/")
        self._keys: CallbackKeys[bytes] = CallbackKeys(self._fetch_keys, clock=clock)
        self._now = now

    async def submit(
        self, order: Order, *, correlation_id: str, callback_url: str | None, timeout_seconds: float
    ) -> str:
        """Starts one render and returns its task id. Never retries; any doubt is an UnknownError.

        Replicate keeps no `correlation_id`: the callback comes back to an address of this attempt instead.
        """
        if not wire.is_model(order.model):
            raise BrokenError("the model is no name such as owner/name", cause=BrokenCause.MODEL)
        answer = await self._calls.submit(
            f"{self._base_url}/models/{order.model}/predictions",
            json=wire.render_order(order, callback_url=callback_url),
            timeout_seconds=timeout_seconds,
        )
        if not answer.ok:
            raise submission_error(
                answer.status,
                is_of_replicate=wire.is_problem(answer.body),
                retry_after_seconds=_retry_after(answer),
            )
        try:
            return wire.parse_created(answer.body)
        except UnusableBodyError as error:
            raise UnknownError(f"submission accepted, answer unusable: {error}") from error

    async def find(
        self, correlation_id: str, *, model: str, created_after: float, timeout_seconds: float
    ) -> str | None:
        """Returns None if there is no prediction of the model at all since then, so this one was not started either.

        If there is any, nothing tells whose it is: UnsearchableError.
        """
        query = {"created_after": wire.iso(created_after - CREATED_MARGIN_SECONDS)}
        url = f"{self._base_url}/predictions"
        async with within(timeout_seconds):
            for _ in range(LIST_PAGES_MAX):
                page = await self._page(url, query=query, timeout_seconds=timeout_seconds)
                # One that does not say what it is of may be of this model.
                if model in page.models or "" in page.models:
                    raise UnsearchableError(
                        "a prediction of the model is there, and nothing tells whose it is"
                    )
                if not page.next_url:
                    return None
                if not has_same_origin(page.next_url, self._base_url):
                    raise UnreachableError("the list goes on at another origin")
                url, query = page.next_url, {}
        raise UnreachableError(f"the list has more than {LIST_PAGES_MAX} pages")

    async def carries(self, task_id: str, correlation_id: str, *, timeout_seconds: float) -> bool:
        """Raises UnsearchableError: a prediction keeps nothing of ours."""
        raise UnsearchableError("a prediction keeps nothing of ours: only a signed callback names a lost one")

    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        """Returns where the task is now. A task the provider no longer knows is Refused(EXPIRED)."""
        return self._prediction(await self._calls.ask(self._url(task_id), timeout_seconds=timeout_seconds))

    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        """Stops a task, queued or running. Returns whether it has ended without a result."""
        async with within(timeout_seconds):
            found = await self.check(task_id, timeout_seconds=timeout_seconds)
            if isinstance(found, Pending):
                url = f"{self._url(task_id)}/cancel"
                found = self._prediction(
                    await self._calls.ask(url, method="POST", timeout_seconds=timeout_seconds)
                )
        if isinstance(found, Pending):
            raise UnreachableError("asked to stop the prediction, which has not ended yet")
        return isinstance(found, Refused)

    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        """Returns which task a callback names that Replicate signed at most five minutes ago, or None."""
        if not standard_webhooks.is_well_formed(headers, now=self._now()):
            return None
        try:
            task_id = wire.parse_created(body)
        except UnusableBodyError:
            return None
        is_authentic = await self._keys.prove(lambda key: standard_webhooks.is_signed(headers, body, key=key))
        return Hint(task_id=task_id, is_authentic=True) if is_authentic else None

    def media_headers(self, url: str) -> Mapping[str, str]:
        """Returns nothing for a result, which is public and elsewhere."""
        return self._headers if has_same_origin(url, self._base_url) else {}

    async def _page(self, url: str, *, query: Mapping[str, str], timeout_seconds: float) -> wire.Page:
        answer = await self._calls.ask(url, query=query, timeout_seconds=timeout_seconds)
        if not answer.ok:
            raise reading_error(answer.status, retry_after_seconds=_retry_after(answer))
        try:
            return wire.parse_page(answer.body)
        except UnusableBodyError as error:
            raise UnreachableError(f"list unreadable: {error}") from error

    def _prediction(self, answer: Answer) -> Pending | Done | Refused:
        if answer.status == NOT_FOUND and wire.is_problem(answer.body):
            return Refused(kind=RefusalKind.EXPIRED, detail="prediction unknown")
        if not answer.ok:
            raise reading_error(answer.status, retry_after_seconds=_retry_after(answer))
        try:
            return wire.parse_prediction(answer.body)
        except UnusableBodyError as error:
            raise UnreachableError(f"prediction unreadable: {error}") from error

    async def _fetch_keys(self) -> list[bytes]:
        answer = await self._calls.ask(
            f"{self._base_url}/webhooks/default/secret", timeout_seconds=KEY_TIMEOUT_SECONDS
        )
        if not answer.ok:
            raise reading_error(answer.status, retry_after_seconds=_retry_after(answer))
        try:
            return [wire.parse_callback_key(answer.body)]
        except UnusableBodyError as error:
            raise UnreachableError(f"secret of callbacks unreadable: {error}") from error

    def _url(self, task_id: str) -> str:
        return f"{self._base_url}/predictions/{task_id}"


def _retry_after(answer: Answer) -> float | None:
    said = answer.retry_after_seconds
    return wire.retry_after_of(answer.body) if said is None else said


KIND = Kind(
    name="replicate",
    base_url=BASE_URL,
    open=ReplicateProvider,
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
        watermark=frozenset({False}),
        seed=True,
    ),
    callbacks=True,
    callback_headers=standard_webhooks.HEADERS,
)
