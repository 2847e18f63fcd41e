"""Who is calling: the same for REST and direct gRPC, from the key alone."""

import asyncio
import hashlib
import time
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from grpc.aio import ServicerContext

from services.common.boundary import Behavior, Layer, contract, metadata_of
from services.common.errors import Reason, ServiceError

CACHE_SECONDS = 4.0
CACHE_ENTRIES_MAX = 20_000
OUTAGE_SECONDS_MAX = 300.0
"""So long business keys go on working while billing does not answer."""
OUTAGE_RETRY_SECONDS = 1.0
KEY_LENGTH_MAX = 128
KEY_PREFIXES = {
    ("seedancee2", "live"): "sk_seedancee2_live_",
    ("seedancee2", "test"): "sk_seedancee2_test_",
    ("nextapi", "live"): "nxa_live_sk_",
    ("nextapi", "test"): "nxa_test_sk_",
}
ENVIRONMENT_HEADER = "x-nextapi-environment"
RANDOM_LENGTH = 32
CHECKSUM_LENGTH = 8

OPEN_TO_ALL = frozenset[str]()
"""Access of a service that needs no key."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whom a valid key belongs to."""

    key_id: str
    account_id: str
    environment: str
    contract: str
    models: tuple[str, ...] = ()
    """Public names of the models it may use. Empty: all."""
    kind: str = "business"
    """`business` or `admin`."""
    calls_per_minute: int = 600
    """In any 60 seconds."""
    account_jobs_at_once: int = 100
    """Of the account in this environment, at providers."""
    key_jobs_at_once: int = 100
    """Of the key, at providers."""
    moderation_profile: str = ""
    """What holds unless a request chooses another. Empty: that of the configuration."""
    moderation_profiles: tuple[str, ...] = ()
    """What a request may choose besides."""


LookUp = Callable[[bytes], Awaitable[Caller | None]]
"""Asks billing whose key has this SHA-256. None: nobody's, or it no longer works."""

_OUTAGE = frozenset({Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED})
_caller: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """Returns who made the call being served. Only inside an authenticated method."""
    return _caller.get()


def key_checksum(body: str) -> str:
    """Returns the last 8 characters of a key: the CRC-32 of all before, in hexadecimal."""
    return f"{zlib.crc32(body.encode()):08x}"


def is_well_formed(key: str) -> bool:
    """Tells whether a key could be one of ours, so that a mistyped one is refused without a look-up."""
    if len(key) > KEY_LENGTH_MAX or not key.isascii():
        return False
    for prefix in KEY_PREFIXES.values():
        if key.startswith(prefix):
            body, checksum = key[:-CHECKSUM_LENGTH], key[-CHECKSUM_LENGTH:]
            whole = len(prefix) + RANDOM_LENGTH + CHECKSUM_LENGTH
            return len(key) == whole and key_checksum(body) == checksum
    return False


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What billing said of a key."""

    caller: Caller | None
    told_at: float
    fresh_until: float

    def outlasts(self, now: float) -> bool:
        """Tells whether it holds while billing does not answer."""
        may_outlast = self.caller is not None and self.caller.kind == "business"
        return may_outlast and now < self.told_at + OUTAGE_SECONDS_MAX


class KeyCache:
    """Answers look-ups from memory for CACHE_SECONDS, refusals too, and asks once for many waiting callers.

    A key that is disabled therefore stops working in every process within 5 seconds. While billing does not
    answer, business keys that are known go on working for OUTAGE_SECONDS_MAX.
    """

    def __init__(self, look_up: LookUp, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._monotonic = monotonic
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Caller | None]] = {}

    async def find(self, key: str) -> Caller | None:
        """Returns whom the key belongs to. Raises what the look-up raises; failures are not remembered."""
        digest = hashlib.sha256(key.encode()).digest()
        known = self._known.get(digest)
        if known is not None and known.fresh_until > self._monotonic():
            return known.caller
        task = self._asking.get(digest)
        if task is None:
            task = asyncio.create_task(self._ask(digest))
            self._asking[digest] = task
        return await asyncio.shield(task)

    async def _ask(self, digest: bytes) -> Caller | None:
        try:
            asked_at = self._monotonic()
            found = await self._found(digest, asked_at)
            self._known.move_to_end(digest)
            if len(self._known) > CACHE_ENTRIES_MAX:
                self._known.popitem(last=False)
            return found
        finally:
            del self._asking[digest]

    async def _found(self, digest: bytes, asked_at: float) -> Caller | None:
        try:
            found = await self._look_up(digest)
        except ServiceError as error:
            known = self._known.get(digest)
            if error.reason not in _OUTAGE or known is None or not known.outlasts(asked_at):
                raise
            self._known[digest] = replace(known, fresh_until=self._monotonic() + OUTAGE_RETRY_SECONDS)
            return known.caller
        self._known[digest] = _Known(caller=found, told_at=asked_at, fresh_until=asked_at + CACHE_SECONDS)
        return found


def authenticated(keys: KeyCache, access: Mapping[str, frozenset[str]]) -> Layer:
    """Returns the layer that lets only callers with a valid key in.

    `access` names, for each full service name, the contracts whose keys may call it; OPEN_TO_ALL needs no key.
    Refuses with KEY_INVALID.
    """

    def layer(method: str, inside: Behavior) -> Behavior:
        contracts = access[method.split("/")[1]]
        if contracts is OPEN_TO_ALL:
            return inside

        async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
            metadata = metadata_of(context)
            key = presented_key(metadata)
            found = await keys.find(key) if is_well_formed(key) else None
            if found is None or found.contract not in contracts:
                raise ServiceError(Reason.KEY_INVALID, "API key is missing, invalid, or disabled.")
            _caller.set(found)
            contract.set(found.contract)
            _refuse_other_environment(found, metadata)
            return await inside(request, context)

        return call

    return layer


def _refuse_other_environment(found: Caller, metadata: Mapping[str, str]) -> None:
    wanted = metadata.get(ENVIRONMENT_HEADER, found.environment)
    if found.contract == "nextapi" and wanted != found.environment:
        raise ServiceError(
            Reason.KEY_INVALID,
            f"The key is of the {found.environment} environment, but X-NextAPI-Environment names another.",
        )


def presented_key(metadata: Mapping[str, str]) -> str:
    """Returns the key a call carries: `Authorization: Bearer …` wins over `x-api-key`. Empty if there is none."""
    authorization = metadata.get("authorization")
    if authorization is None:
        return metadata.get("x-api-key", "").strip()
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
