"""The adapter for fal's queue API."""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.common.egress.urls import has_same_origin
from services.upstream.bodies import UnusableBodyError
from services.upstream.call import Answer, ProviderCalls, within
from services.upstream.callback_keys import CallbackKeys
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
    UnsearchableError,
)
from services.upstream.providers.fal import wire
from services.upstream.providers.fal.errors import (
    failure,
    means_unknown_task,
    reading_error,
    submission_error,
)

BASE_URL = "https://queue.fal.run"
KEYS_URL = "https://rest.fal.ai/.well-known/jwks.json"
KEYS_TIMEOUT_SECONDS = 5.0

Read = TypeVar("Read")
_UNSEARCHABLE = "fal lists no requests: only a signed callback names a lost one"


class FalProvider:
    """fal's queue (Seedance), which takes no idempotency key and lists nothing.

    Its callbacks are signed, and tell the name of a task whose submission was not answered. A task is called by its path at
    `base_url`, which alone gets the credential; `keys_url` is where the keys of callbacks are.
    """

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        base_url: str,
        api_key: str,
        keys_url: str = KEYS_URL,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._headers = {"Authorization": f"Key {api_key}"}
        self._calls = ProviderCalls(session, headers=self._headers)
        self._public_calls = ProviderCalls(session, headers={})
        self._base_url = base_url.rstrip("/")
        self._keys_url = keys_url
        self._keys: CallbackKeys[Ed25519PublicKey] = CallbackKeys(self._fetch_keys, clock=clock)
        self._now = now

    async def submit(
        self, order: Order, *, correlation_id: str, callback_url: str | None, timeout_seconds: float
    ) -> str:
        """Starts one render and returns its task id. Never retries; any doubt is an UnknownError.

        fal keeps no `correlation_id`: the callback comes back to an address of this attempt instead.
        """
        answer = await self._calls.submit(
            f"{self._base_url}/{wire.endpoint_of(order)}",
            json=wire.render_order(order),
            query=None if callback_url is None else {"fal_webhook": callback_url},
            timeout_seconds=timeout_seconds,
        )
        if not answer.ok:
            error = wire.parse_error(answer.body, answer.headers)
            raise submission_error(answer.status, error, retry_after_seconds=answer.retry_after_seconds)
        try:
            return wire.parse_created(
                answer.body, model=order.model, named=self._own_path(wire.response_url_of(answer.body))
            )
        except UnusableBodyError as error:
            raise UnknownError(f"submission accepted, answer unusable: {error}") from error

    async def find(
        self, correlation_id: str, *, model: str, created_after: float, timeout_seconds: float
    ) -> str | None:
        """Raises UnsearchableError: there is no list."""
        raise UnsearchableError(_UNSEARCHABLE)

    async def carries(self, task_id: str, correlation_id: str, *, timeout_seconds: float) -> bool:
        """Raises UnsearchableError: a request keeps nothing of ours."""
        raise UnsearchableError(_UNSEARCHABLE)

    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        """Returns where the task is now. How it ended, its result tells, whatever its status says besides."""
        async with within(timeout_seconds):
            pending = await self._status(task_id, timeout_seconds=timeout_seconds)
            return pending or await self._result(task_id, timeout_seconds=timeout_seconds)

    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        """Stops a task that is still queued. Returns whether it has ended without a result.

        fal may let a task that runs go on and bill it, so that one is only asked about.
        """
        async with within(timeout_seconds):
            found = await self.check(task_id, timeout_seconds=timeout_seconds)
            if not isinstance(found, Pending) or found.running:
                return isinstance(found, Refused)
            answer = await self._calls.ask(
                f"{self._url(task_id)}/cancel", method="PUT", timeout_seconds=timeout_seconds
            )
            if not answer.ok and answer.status not in {400, 404}:
                raise self._reading_error(answer)
            found = await self.check(task_id, timeout_seconds=timeout_seconds)
            if isinstance(found, Pending) and not found.running:
                raise UnreachableError("asked to stop the task, which is still queued")
            return isinstance(found, Refused)

    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        """Returns which task a callback names that fal signed at most five minutes ago, or None."""
        if not wire.is_well_formed(headers, now=self._now()):
            return None
        try:
            task_id = wire.handle_of(model, wire.claimed_request_id(body))
        except UnusableBodyError:
            return None
        is_authentic = await self._keys.prove(lambda key: wire.is_signed(headers, body, key=key))
        return Hint(task_id=task_id, is_authentic=True) if is_authentic else None

    def media_headers(self, url: str) -> Mapping[str, str]:
        """Returns nothing for a result, which is public and elsewhere."""
        return self._headers if has_same_origin(url, self._base_url) else {}

    async def _status(self, task_id: str, *, timeout_seconds: float) -> Pending | Refused | None:
        answer = await self._calls.ask(f"{self._url(task_id)}/status", timeout_seconds=timeout_seconds)
        if not answer.ok:
            return self._gone(answer)
        return _read(wire.parse_status, answer)

    async def _result(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        answer = await self._calls.ask(self._url(task_id), timeout_seconds=timeout_seconds)
        error = wire.parse_error(answer.body, answer.headers)
        if wire.is_early(error):
            return Pending(running=True)
        if answer.ok:
            return _read(wire.parse_result, answer)
        if answer.status == 404 and not error.type:
            return self._gone(answer)
        if ended := failure(answer.status, error):
            return ended
        raise self._reading_error(answer)

    def _gone(self, answer: Answer) -> Refused:
        if means_unknown_task(answer.status, is_of_fal=wire.is_of_fal(answer.body)):
            return Refused(kind=RefusalKind.EXPIRED, detail="task unknown")
        raise self._reading_error(answer)

    def _reading_error(self, answer: Answer) -> Exception:
        error = wire.parse_error(answer.body, answer.headers)
        return reading_error(answer.status, error, retry_after_seconds=answer.retry_after_seconds)

    async def _fetch_keys(self) -> list[Ed25519PublicKey]:
        answer = await self._public_calls.ask(self._keys_url, timeout_seconds=KEYS_TIMEOUT_SECONDS)
        try:
            return wire.parse_keys(answer.body if answer.ok else b"")
        except UnusableBodyError as error:
            raise UnreachableError(f"keys answered {answer.status}: {error}") from error

    def _url(self, task_id: str) -> str:
        if not wire.is_handle(task_id):
            raise UnreachableError("the task has no path of fal")
        return f"{self._base_url}/{task_id}"

    def _own_path(self, url: str) -> str:
        """Returns the part of an address after that of the API, or nothing if it leads elsewhere."""
        is_own = has_same_origin(url, self._base_url) and url.startswith(f"{self._base_url}/")
        return url[len(self._base_url) + 1 :] if is_own else ""


def _read(parse: Callable[[bytes], Read], answer: Answer) -> Read:
    try:
        return parse(answer.body)
    except UnusableBodyError as error:
        raise UnreachableError(f"task unreadable: {error}") from error


KIND = Kind(
    name="fal",
    base_url=BASE_URL,
    open=FalProvider,
    features=Features(
        resolutions=frozenset(RESOLUTIONS),
        seconds=frozenset(range(4, 16)),
        aspect_ratios=frozenset(ASPECT_RATIOS),
        image_references=9,
        video_references=3,
        audio_references=3,
        references=12,
        start_frame=True,
        end_frame=True,
        audio=frozenset({True, False}),
        watermark=frozenset({False}),
        seed=False,
    ),
    callbacks=True,
    callback_headers=wire.SIGNATURE_HEADERS,
)
