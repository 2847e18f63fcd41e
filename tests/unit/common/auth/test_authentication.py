import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from google.protobuf.message import Message
from grpc.aio import ServicerContext
from reelgate.billing.v1 import billing_service_pb2

from services.common.auth import authentication
from services.common.auth.authentication import (
    CACHE_SECONDS,
    OPEN_TO_ALL,
    OUTAGE_RETRY_SECONDS,
    OUTAGE_SECONDS_MAX,
    Caller,
    KeyCache,
    authenticated,
    caller,
    presented_key,
)
from services.common.auth.key_forms import KEY_PREFIXES, KeyForm, KeyForms, contract_of, older_checksum
from services.common.errors import Reason, ServiceError
from services.common.rpc.interceptors import contract

ACME = Caller(key_id="key_1", account_id="acct_1", environment="live", contract="seedancee2")
METHOD = "/reelgate.billing.v1.BillingService/GetBalance"


def key(prefix: str = "sk_seedancee2_live_", fill: str = "A") -> str:
    body = prefix + fill * 32
    return body + older_checksum(body)


class Keys:
    """A look-up that counts its questions and can be made to wait or to fail."""

    def __init__(self, *known: str) -> None:
        self.known = {hashlib.sha256(secret.encode()).digest() for secret in known}
        self.asked_count = 0
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.broken = False
        self.outage: Reason | None = None
        self.caller = ACME

    async def look_up(self, digest: bytes) -> Caller | None:
        self.asked_count += 1
        self.asked.set()
        await self.may_answer.wait()
        if self.broken:
            raise ConnectionError
        if self.outage:
            raise ServiceError(self.outage, "A service did not answer.")
        return self.caller if digest in self.known else None


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Call:
    """As much of a call's context as authentication looks at."""

    def __init__(self, **metadata: str) -> None:
        self._metadata = tuple((name.replace("_", "-"), value) for name, value in metadata.items())

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata


@pytest.mark.parametrize("prefix", KEY_PREFIXES.values())
def test_a_key_with_its_checksum_is_well_formed(prefix: str) -> None:
    assert KeyForms().form_of(key(prefix)) is KeyForm.OLDER


@pytest.mark.parametrize(
    "mistyped",
    [
        "",
        key()[:-1],
        key() + "0",
        key().replace("A", "B", 1),
        key()[:-1] + ("0" if key()[-1] != "0" else "1"),
        key("sk_other_live_"),
        "sk_seedancee2_live_" + "é" * 40,
        "sk_seedancee2_live_" + "A" * 10_000,
    ],
)
def test_a_mistyped_key_is_not_well_formed(mistyped: str) -> None:
    assert KeyForms().form_of(mistyped) is None


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({}, ""),
        ({"authorization": "Bearer k1"}, "k1"),
        ({"authorization": "bearer  k1 "}, "k1"),
        ({"x-api-key": " k2 "}, "k2"),
        ({"authorization": "Bearer k1", "x-api-key": "k2"}, "k1"),
        ({"authorization": "Basic k1", "x-api-key": "k2"}, ""),
        ({"authorization": "k1"}, ""),
        ({"authorization": "BEARER\tk1", "x-api-key": ""}, "k1"),
        ({"authorization": "", "x-api-key": "k2"}, "k2"),
        ({"authorization": "  ", "x-api-key": "k2"}, "k2"),
        ({"authorization": "Bearer ", "x-api-key": "k2"}, ""),
        ({"authorization": "", "x-api-key": ""}, ""),
    ],
)
def test_the_bearer_of_authorization_wins_over_x_api_key(metadata: dict[str, str], found: str) -> None:
    assert presented_key(metadata) == found


@pytest.mark.parametrize("known", [True, False])
async def test_an_answer_is_remembered_for_the_time_of_the_cache_whatever_it_was(known: bool) -> None:
    keys, clock = Keys(*([key()] if known else [])), Clock()
    cache = KeyCache(keys.look_up, monotonic=clock)
    await cache.find(key())
    clock.seconds += CACHE_SECONDS - 0.001

    found = await cache.find(key())

    assert found == (ACME if known else None)
    assert keys.asked_count == 1


async def test_after_the_time_of_the_cache_the_question_is_asked_again() -> None:
    keys, clock = Keys(key()), Clock()
    cache = KeyCache(keys.look_up, monotonic=clock)
    await cache.find(key())
    keys.known.clear()
    clock.seconds += CACHE_SECONDS

    found = await cache.find(key())

    assert found is None
    assert keys.asked_count == 2


async def test_time_in_the_cache_counts_from_the_question_not_from_the_answer() -> None:
    keys, clock = Keys(key()), Clock()
    cache = KeyCache(keys.look_up, monotonic=clock)
    keys.may_answer.clear()
    asking = asyncio.create_task(cache.find(key()))
    await keys.asked.wait()
    clock.seconds += CACHE_SECONDS
    keys.may_answer.set()
    await asking

    await cache.find(key())

    assert keys.asked_count == 2


async def test_many_callers_at_once_ask_once() -> None:
    keys = Keys(key())
    cache = KeyCache(keys.look_up)
    keys.may_answer.clear()
    asking = [asyncio.create_task(cache.find(key())) for _ in range(50)]
    await keys.asked.wait()

    keys.may_answer.set()

    assert set(await asyncio.gather(*asking)) == {ACME}
    assert keys.asked_count == 1


async def test_a_caller_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    keys = Keys(key())
    cache = KeyCache(keys.look_up)
    keys.may_answer.clear()
    impatient, patient = (asyncio.create_task(cache.find(key())) for _ in range(2))
    await keys.asked.wait()

    impatient.cancel()
    keys.may_answer.set()

    assert await patient == ACME


async def test_a_failed_look_up_is_not_remembered() -> None:
    keys = Keys(key())
    cache = KeyCache(keys.look_up)
    keys.broken = True
    with pytest.raises(ConnectionError):
        await cache.find(key())
    keys.broken = False

    assert await cache.find(key()) == ACME


@pytest.mark.parametrize("reason", [Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED])
async def test_while_billing_does_not_answer_a_known_business_key_works_for_five_minutes(
    reason: Reason,
) -> None:
    keys, clock = Keys(key()), Clock()
    cache = KeyCache(keys.look_up, monotonic=clock)
    await cache.find(key())
    keys.outage = reason
    clock.seconds += OUTAGE_SECONDS_MAX - 0.001

    during = await cache.find(key())
    clock.seconds += OUTAGE_RETRY_SECONDS

    assert during == ACME
    with pytest.raises(ServiceError):
        await cache.find(key())


async def test_during_an_outage_billing_is_asked_once_a_second_and_believed_when_it_is_back() -> None:
    keys, clock = Keys(key()), Clock()
    cache = KeyCache(keys.look_up, monotonic=clock)
    await cache.find(key())
    keys.outage = Reason.UNAVAILABLE
    clock.seconds += CACHE_SECONDS
    for _ in range(10):
        await cache.find(key())
    asked_count = keys.asked_count

    keys.outage = None
    keys.known.clear()
    clock.seconds += OUTAGE_RETRY_SECONDS

    assert await cache.find(key()) is None
    assert asked_count == 2


@pytest.mark.parametrize("who", ["admin", "unknown", "refused"])
async def test_during_an_outage_no_other_key_works(who: str) -> None:
    keys, clock = Keys(*([] if who == "refused" else [key()])), Clock()
    keys.caller = replace(ACME, kind="admin") if who == "admin" else ACME
    cache = KeyCache(keys.look_up, monotonic=clock)
    if who != "unknown":
        await cache.find(key())
    keys.outage = Reason.UNAVAILABLE
    clock.seconds += CACHE_SECONDS

    with pytest.raises(ServiceError) as refused:
        await cache.find(key())

    assert refused.value.reason is Reason.UNAVAILABLE


async def test_what_billing_answers_wrongly_is_no_outage() -> None:
    keys, clock = Keys(key()), Clock()
    cache = KeyCache(keys.look_up, monotonic=clock)
    await cache.find(key())
    keys.outage = Reason.INTERNAL
    clock.seconds += CACHE_SECONDS

    with pytest.raises(ServiceError):
        await cache.find(key())


@pytest.mark.parametrize(
    ("cache_max", "known"),
    [("CACHE_ENTRIES_MAX", "ABC"), ("REFUSALS_MAX", "")],
)
async def test_a_cache_forgets_the_oldest_when_it_is_full(
    monkeypatch: pytest.MonkeyPatch, cache_max: str, known: str
) -> None:
    monkeypatch.setattr(authentication, cache_max, 2)
    keys = Keys(*(key(fill=fill) for fill in known))
    cache = KeyCache(keys.look_up)
    for fill in "ABC":
        await cache.find(key(fill=fill))

    for fill in "CBA":
        await cache.find(key(fill=fill))

    assert keys.asked_count == 4


async def _who(_request: Any, _context: ServicerContext[Any, Any]) -> Message:
    return (
        billing_service_pb2.GetBalanceResponse()
        if caller() == ACME
        else billing_service_pb2.GetBalanceRequest()
    )


def _guarded(keys: Keys, contracts: frozenset[str]) -> Callable[[Call], Any]:
    guarded = authenticated(KeyCache(keys.look_up), {"reelgate.billing.v1.BillingService": contracts})
    behavior = guarded(METHOD, _who)
    return lambda call: behavior(billing_service_pb2.GetBalanceRequest(), cast("Any", call))


async def test_a_valid_key_lets_its_caller_in() -> None:
    call = _guarded(Keys(key()), frozenset({"seedancee2"}))

    answer = await call(Call(x_api_key=key()))

    assert isinstance(answer, billing_service_pb2.GetBalanceResponse)


@pytest.mark.parametrize("contracts", [frozenset({"nextapi"}), frozenset[str]({"other"})])
async def test_a_key_of_another_contract_is_refused(contracts: frozenset[str]) -> None:
    call = _guarded(Keys(key()), contracts)

    with pytest.raises(ServiceError) as refused:
        await call(Call(x_api_key=key()))

    assert refused.value.reason is Reason.KEY_INVALID


async def test_a_mistyped_key_is_refused_without_a_look_up() -> None:
    keys = Keys(key())
    call = _guarded(keys, frozenset({"seedancee2"}))

    with pytest.raises(ServiceError) as refused:
        await call(Call(authorization=f"Bearer {key()}x"))

    assert refused.value.reason is Reason.KEY_INVALID
    assert keys.asked_count == 0


async def test_a_service_open_to_all_asks_for_no_key() -> None:
    keys = Keys()
    middleware = authenticated(KeyCache(keys.look_up), {"reelgate.billing.v1.BillingService": OPEN_TO_ALL})

    assert middleware(METHOD, _who) is _who


@pytest.mark.parametrize("prefix", KEY_PREFIXES.values())
@pytest.mark.parametrize(
    "contracts", [frozenset({"seedancee2", "nextapi"}), frozenset({"seedancee2"}), frozenset({"nextapi"})]
)
async def test_a_key_that_does_not_work_is_refused_in_the_envelope_of_its_form(
    prefix: str, contracts: frozenset[str]
) -> None:
    call = _guarded(Keys(), contracts)
    named = contract_of(prefix)
    token = contract.set("of the method")
    try:
        with pytest.raises(ServiceError):
            await call(Call(authorization=f"Bearer {prefix}{'a' * 40}"))

        assert contract.get() == (named if named in contracts else "of the method")
    finally:
        contract.reset(token)
