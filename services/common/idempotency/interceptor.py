"""Requests that may be sent again: with an idempotency key they run once, and get one answer for KEPT_HOURS."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NoReturn

from google.api import annotations_pb2
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from grpc.aio import ServicerContext

from services.common.auth.authentication import OPEN_TO_ALL, caller
from services.common.errors import Reason, ServiceError
from services.common.idempotency.reservation import Reservation, ReservationSpentError, reservation
from services.common.idempotency.store import (
    LEASE_SECONDS,
    Answer,
    Ending,
    Found,
    KeyedRequest,
    Lock,
    SqlIdempotencyKeys,
)
from services.common.ids import new_ulid
from services.common.rpc.interceptors import Handler, Middleware, answer_header, metadata_of

log = logging.getLogger(__name__)

HEADER = "idempotency-key"
KEY_LENGTH_MAX = 255
RUN_SECONDS = 15.0
"""Longer than the edge waits for a write, so the edge always gives up first."""
assert LEASE_SECONDS > RUN_SECONDS, "a request must not be taken over while it runs"
WAIT_SECONDS = 10.0
"""How long a duplicate waits for the first request in this process."""
RETRY_SECONDS = 1
NOT_KEPT = frozenset({402, 429})
"""HTTP statuses after which the same request may be run again: it did nothing, and the next time may succeed.

The same applies to any refusal that says when to repeat the request.
"""
SERVER_ERROR = 500

Run = Callable[[], Awaitable[bytes]]


def idempotent(keys: SqlIdempotencyKeys, access: Mapping[str, frozenset[str]]) -> Middleware:
    """Returns the middleware that runs a POST with an `idempotency-key` once for each API key. Stands after `authenticated`.

    Adds `idempotent-replayed: true` to what was answered before. Refuses with INVALID_FIELD a key that is none, with
    IDEMPOTENCY_KEY_REUSED one given to another request, with IDEMPOTENCY_KEY_IN_USE one whose request still runs.
    """
    once = _Once(keys)

    def middleware(method: str, inside: Handler) -> Handler:
        if access[method.split("/")[1]] is OPEN_TO_ALL or not _is_post(method):
            return inside

        async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
            key = presented_key(context)
            if key is None:
                return await inside(request, context)

            async def run() -> bytes:
                answer: Message = await inside(request, context)
                return answer.SerializeToString(deterministic=True)

            content = method.encode() + b"\0" + request.SerializeToString(deterministic=True)
            keyed = KeyedRequest(key_id=caller().key_id, key=key, fingerprint=sha256(content).digest())
            return await once.answer(keyed, run)

        return call

    return middleware


def _is_post(method: str) -> bool:
    _, service, name = method.split("/")
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    return bool(found.GetOptions().Extensions[annotations_pb2.http].WhichOneof("pattern") == "post")


def presented_key(context: ServicerContext[Any, Any]) -> str | None:
    """Returns the idempotency key of a call without the quotes it may stand in. Refuses with INVALID_FIELD what is none."""
    if HEADER not in metadata_of(context):
        return None
    given = {
        _unquoted(value)
        for name, value in context.invocation_metadata() or ()
        if name == HEADER and isinstance(value, str)
    }
    if len(given) > 1:
        _refuse("must be given once. It was given with different values.")
    key = given.pop()
    if not key:
        _refuse(
            "must be 1 to 255 printable ASCII characters. It was empty. Leave it out to send without one."
        )
    if len(key) > KEY_LENGTH_MAX:
        _refuse(f"must be at most {KEY_LENGTH_MAX} characters. It had {len(key)}.")
    if not (key.isascii() and key.isprintable()):
        _refuse("must be printable ASCII characters only, such as a UUID.")
    return key


def _unquoted(value: str) -> str:
    # A string of RFC 8941 escapes quotes and backslashes.
    bare = value.strip(" ")
    quoted = re.fullmatch(r'"(.*)"', bare, re.DOTALL)
    return re.sub(r'\\(["\\])', r"\1", quoted[1]) if quoted else bare


def _refuse(rule: str) -> NoReturn:
    raise ServiceError(Reason.INVALID_FIELD, f"Header Idempotency-Key {rule}", field="Idempotency-Key")


def _reused() -> ServiceError:
    return ServiceError(
        Reason.IDEMPOTENCY_KEY_REUSED,
        "This Idempotency-Key was used for another request. Send the same request again, or use a new key.",
    )


def _in_use() -> ServiceError:
    return ServiceError(
        Reason.IDEMPOTENCY_KEY_IN_USE,
        f"A request with this Idempotency-Key is still running. Send it again in {RETRY_SECONDS} s.",
        retry_after_seconds=str(RETRY_SECONDS),
    )


def _unfinished() -> ServiceError:
    return ServiceError(
        Reason.UNAVAILABLE, "The first request with this Idempotency-Key did not succeed. Please try again."
    )


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    answer: Answer
    is_replay: bool


def _given(outcome: _Outcome) -> bytes:
    if outcome.is_replay:
        answer_header("idempotent-replayed", "true")
    if isinstance(outcome.answer, bytes):
        return outcome.answer
    # A copy, because a raised error collects its traceback.
    error = outcome.answer
    raise ServiceError(error.reason, error.message, **error.metadata)


class _First:
    """The first of its kind in this process. `outcome` is for its duplicates: None when it was given up."""

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        self.outcome: asyncio.Future[_Outcome | None] = asyncio.get_running_loop().create_future()


class _Once:
    """Runs each keyed request once: duplicates in this process share its outcome, all others find what is kept of it."""

    def __init__(self, keys: SqlIdempotencyKeys) -> None:
        self._keys = keys
        self._running: dict[tuple[str, str], _First] = {}
        self._endings: set[asyncio.Task[bool]] = set()

    async def answer(self, request: KeyedRequest, run: Run) -> bytes:
        """Runs a request, or returns what came of it. Raises what it is refused with."""
        place = (request.key_id, request.key)
        give_up_at = asyncio.get_running_loop().time() + WAIT_SECONDS
        while (first := self._running.get(place)) is not None:
            if first.fingerprint != request.fingerprint:
                raise _reused()
            outcome = await _outcome(first, give_up_at=give_up_at)
            if outcome is not None:
                return _given(outcome)
        self._running[place] = ours = _First(request.fingerprint)
        shared = None
        try:
            outcome, shared = await self._first(request, run)
        except Exception as error:
            answer = error if isinstance(error, ServiceError) else _unfinished()
            shared = _Outcome(answer=answer, is_replay=False)
            raise
        finally:
            del self._running[place]
            ours.outcome.set_result(shared)
        return _given(outcome)

    async def _first(self, request: KeyedRequest, run: Run) -> tuple[_Outcome, _Outcome]:
        """Returns the outcome as it is for this request, and as it is for its duplicates."""
        lock = await self._lock(request)
        if isinstance(lock, Found):
            outcome = _Outcome(answer=_kept(lock), is_replay=True)
            return outcome, outcome
        try:
            ending, answer = await _run(lock, run)
        except asyncio.CancelledError:
            self._later(self._keys.end(Ending(lock=lock)))
            raise
        except Exception:
            # It may have succeeded anyway, so its key and its reservation are kept.
            with suppress(Exception):
                await self._keys.end(Ending(lock=lock))
            raise
        is_kept = ending.answer is not None
        # A caller that hangs up now still leaves a finished request.
        if not await asyncio.shield(self._later(self._keys.end(ending))) and is_kept:
            raise _in_use()
        return _Outcome(answer=answer, is_replay=False), _Outcome(answer=answer, is_replay=is_kept)

    async def _lock(self, request: KeyedRequest) -> Lock | Found:
        reserving = asyncio.create_task(self._keys.reserve(request, ulid=new_ulid()))
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:
            self._later(self._let_go_of(reserving))
            raise

    async def _let_go_of(self, reserving: asyncio.Task[Lock | Found]) -> bool:
        found = await reserving
        return isinstance(found, Lock) and await self._keys.end(Ending(lock=found))

    def _later(self, ending: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
        task = asyncio.create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[bool]) -> None:
        self._endings.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a request with an idempotency key stays locked until its time is up: %s", error)


async def _outcome(first: _First, *, give_up_at: float) -> _Outcome | None:
    try:
        async with asyncio.timeout_at(give_up_at):
            return await asyncio.shield(first.outcome)
    except TimeoutError:
        raise _in_use() from None


def _kept(found: Found) -> Answer:
    if not found.is_same:
        raise _reused()
    if found.answer is None:
        raise _in_use()
    return found.answer


def _is_final(error: ServiceError) -> bool:
    # Of a reason that is not known here, no process that reads it later could say how it shows.
    is_known = isinstance(error.reason, Reason)
    return is_known and error.status.http not in NOT_KEPT and "retry_after_seconds" not in error.metadata


async def _run(lock: Lock, run: Run) -> tuple[Ending, Answer]:
    """Returns what becomes of the lock, and the answer, which may be a refusal. Raises what may have happened or not."""
    reservation.set(Reservation(ulid=lock.ulid, is_repeated=lock.is_repeated))
    try:
        async with asyncio.timeout(RUN_SECONDS):
            response = await run()
    except ReservationSpentError as error:
        return Ending(lock=lock, new_ulid=new_ulid()), error
    except ServiceError as error:
        if error.status.http >= SERVER_ERROR:
            raise
        if _is_final(error):
            return Ending(lock=lock, answer=error), error
        # Of one that may have run before something may still come, under the name that was reserved.
        return Ending(lock=lock, is_undone=not lock.is_repeated), error
    return Ending(lock=lock, answer=response), response
