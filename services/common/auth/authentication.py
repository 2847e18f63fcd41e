"""Who is calling: the same for REST and direct gRPC, from the key alone."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from grpc.aio import ServicerContext

from services.common.auth.key_forms import KeyForm, KeyForms, contract_of
from services.common.errors import Reason, ServiceError
from services.common.rate_limit.allowance import Allowance
from services.common.rpc.interceptors import Handler, Middleware, account, contract, metadata_of
from services.common.single_flight import SingleFlight

CACHE_SECONDS = 4.0
CACHE_ENTRIES_MAX = 20_000
OUTAGE_SECONDS_MAX = 300.0
"""How long business keys keep working while billing does not answer."""
OUTAGE_RETRY_SECONDS = 1.0
REFUSALS_MAX = 20_000
"""Refused keys have a cache of their own, so they never displace keys that work."""
STRANGERS_AT_ONCE_MAX = 1_000
STRANGERS_PER_SECOND_MAX = 200
"""Limits look-ups of keys that anyone could have made up. Only look-ups that find no key count."""
ENVIRONMENT_HEADER = "x-nextapi-environment"

OPEN_TO_ALL = frozenset[str]()
"""Access of a service that needs no key."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The owner of a valid key, and what the key allows."""

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
    """Used unless a request chooses another. Empty: the configured default."""
    moderation_profiles: tuple[str, ...] = ()
    """Other profiles that a request may choose."""
    views: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What `view_of_caller` made, by what made it."""


@dataclass(frozen=True)
class Credential:
    """A key as a call presented it. It may stop working while the call goes on."""

    key: str = field(repr=False)
    find: Callable[[str], Awaitable[Caller | None]] = field(repr=False, compare=False)

    async def works(self) -> bool:
        """Returns whether the key still works. True as well while billing cannot be asked."""
        try:
            return await self.find(self.key) is not None
        except ServiceError:
            return True


LookUp = Callable[[bytes], Awaitable[Caller | None]]
"""Asks billing for the owner of the key with this SHA-256. None: the key is unknown or no longer works."""

View = TypeVar("View")
_OUTAGE = frozenset({Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED})
_caller: ContextVar[Caller] = ContextVar("caller")
_credential: ContextVar[Credential] = ContextVar("credential")


def caller() -> Caller:
    """Returns who made the call being served. Only inside an authenticated method."""
    return _caller.get()


def view_of_caller(make: Callable[[Caller], View]) -> View:
    """Returns what `make` makes of the caller, once for as long as the key is remembered. Only inside an authenticated method."""
    views = _caller.get().views
    view: View | None = views.get(make)
    if view is None:
        view = views[make] = make(_caller.get())
    return view


def credential() -> Credential:
    """Returns the credential of the call being served. Only inside an authenticated method."""
    return _credential.get()


def key_refused() -> ServiceError:
    """Returns the refusal of a key that does not work."""
    return ServiceError(Reason.KEY_INVALID, "API key is missing, invalid, or disabled.")


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What billing said of a key that works."""

    caller: Caller
    told_at: float
    fresh_until: float

    def outlasts(self, now: float) -> bool:
        """Returns whether the answer may be used while billing does not answer."""
        return self.caller.kind == "business" and now < self.told_at + OUTAGE_SECONDS_MAX


class KeyCache:
    """Answers look-ups from memory for CACHE_SECONDS, refusals too, and asks once for many waiting callers.

    A key that is disabled therefore stops working in every process within 5 seconds. While billing does not
    answer, known business keys keep working for OUTAGE_SECONDS_MAX.

    A made-up key costs one hash. Without the secret it can only have the older form, and an Allowance limits the
    look-ups of unknown keys of that form. Keys of the signed form never wait for it.
    """

    def __init__(
        self,
        look_up: LookUp,
        *,
        forms: KeyForms | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_up = look_up
        self._forms = forms or KeyForms()
        self._monotonic = monotonic
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        """When each refusal expires."""
        self._flights = SingleFlight[bytes, Caller | None]()
        self._strangers = Allowance(
            most=STRANGERS_AT_ONCE_MAX, per_second=STRANGERS_PER_SECOND_MAX, monotonic=monotonic
        )

    async def find(self, key: str) -> Caller | None:
        """Returns the owner of the key. Raises what the look-up raises; failures are not remembered.

        Refuses a key of the older form with UNAVAILABLE while too many of them are unknown.
        """
        form = self._forms.form_of(key)
        if form is None:
            return None
        digest = hashlib.sha256(key.encode()).digest()
        now = self._monotonic()
        known = self._known.get(digest)
        if known is not None and known.fresh_until > now:
            return known.caller
        if self._refused.get(digest, now) > now:
            return None
        return await self._flights.run(digest, partial(self._begin, digest, form))

    def _begin(self, digest: bytes, form: KeyForm) -> Coroutine[Any, Any, Caller | None]:
        if form is not KeyForm.OLDER or digest in self._known:
            return self._found(digest)
        if not self._strangers.take():
            raise ServiceError(
                Reason.UNAVAILABLE,
                "This API key cannot be checked right now. Try again in a second.",
                retry_after_seconds="1",
            )
        return self._found_stranger(digest)

    async def _found_stranger(self, digest: bytes) -> Caller | None:
        found = await self._found(digest)
        if found is not None:
            self._strangers.give_back()
        return found

    async def _found(self, digest: bytes) -> Caller | None:
        asked_at = self._monotonic()
        try:
            found = await self._look_up(digest)
        except ServiceError as error:
            known = self._known.get(digest)
            if error.reason not in _OUTAGE or known is None or not known.outlasts(asked_at):
                raise
            self._know(digest, replace(known, fresh_until=self._monotonic() + OUTAGE_RETRY_SECONDS))
            return known.caller
        fresh_until = asked_at + CACHE_SECONDS
        if found is None:
            self._known.pop(digest, None)
            _remember(self._refused, digest, fresh_until, entries_max=REFUSALS_MAX)
        else:
            self._know(digest, _Known(caller=found, told_at=asked_at, fresh_until=fresh_until))
        return found

    def _know(self, digest: bytes, known: _Known) -> None:
        self._refused.pop(digest, None)
        _remember(self._known, digest, known, entries_max=CACHE_ENTRIES_MAX)


Remembered = TypeVar("Remembered")


def _remember(
    cache: OrderedDict[bytes, Remembered], digest: bytes, value: Remembered, *, entries_max: int
) -> None:
    """Puts an entry last, and drops the first one when there are too many."""
    cache[digest] = value
    cache.move_to_end(digest)
    if len(cache) > entries_max:
        cache.popitem(last=False)


def authenticated(keys: KeyCache, access: Mapping[str, frozenset[str]]) -> Middleware:
    """Returns the middleware that lets only callers with a valid key in.

    `access` names, for each full service name, the contracts whose keys may call it; OPEN_TO_ALL needs no key.
    Refuses with KEY_INVALID, in the envelope of the contract that the key names by its form.
    """

    def middleware(method: str, inside: Handler) -> Handler:
        contracts = access[method.split("/")[1]]
        if contracts is OPEN_TO_ALL:
            return inside

        async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
            metadata = metadata_of(context)
            key = presented_key(metadata)
            if (named := contract_of(key)) in contracts:
                contract.set(named)
            found = await keys.find(key)
            if found is None or found.contract not in contracts:
                raise key_refused()
            _caller.set(found)
            account.set(found.account_id)
            _credential.set(Credential(key, keys.find))
            contract.set(found.contract)
            _refuse_other_environment(found, metadata)
            return await inside(request, context)

        return call

    return middleware


def _refuse_other_environment(found: Caller, metadata: Mapping[str, str]) -> None:
    wanted = metadata.get(ENVIRONMENT_HEADER, "").strip().lower() or found.environment
    if found.contract == "nextapi" and wanted != found.environment:
        raise ServiceError(
            Reason.KEY_INVALID,
            f"The key is of the {found.environment} environment, but X-NextAPI-Environment names another.",
        )


def presented_key(metadata: Mapping[str, str]) -> str:
    """Returns the key a call carries: `Authorization: Bearer …` wins over `x-api-key`. Empty if there is none.

    An empty header counts as absent.
    """
    authorization = metadata.get("authorization", "").split(maxsplit=1)
    if not authorization:
        return metadata.get("x-api-key", "").strip()
    scheme, *key = authorization
    return "".join(key).strip() if scheme.lower() == "bearer" else ""
