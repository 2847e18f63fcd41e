"""What keys cost that nobody issued, and whom they keep from being served."""

import hashlib
import itertools
from collections.abc import Iterator

import pytest

from services.common.auth.authentication import (
    CACHE_SECONDS,
    OUTAGE_SECONDS_MAX,
    STRANGERS_AT_ONCE_MAX,
    STRANGERS_PER_SECOND_MAX,
    Caller,
    KeyCache,
)
from services.common.auth.key_forms import CHECKSUM_LENGTH, KEY_PREFIXES, KeyForm, KeyForms, older_checksum
from services.common.errors import Reason, ServiceError
from tests.conftest import KEY_SECRET

FORGED = 20_000
FORMS = KeyForms([KEY_SECRET])
FORGERY = KeyForms(["what-a-forger-takes-for-the-secret"])
ACME = Caller(key_id="key_1", account_id="acct_1", environment="live", contract="seedancee2")
_numbers = itertools.count()


class Billing:
    """Knows the keys of customers, and counts what it is asked."""

    def __init__(self) -> None:
        self.keys: set[bytes] = set()
        self.asked_count = 0
        self.is_away = False

    def issue(self, key: str) -> str:
        self.keys.add(hashlib.sha256(key.encode()).digest())
        return key

    async def look_up(self, digest: bytes) -> Caller | None:
        self.asked_count += 1
        if self.is_away:
            raise ServiceError(Reason.UNAVAILABLE, "away")
        return ACME if digest in self.keys else None


class World:
    """One process, its time, and billing."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.billing = Billing()
        self.cache = KeyCache(self.billing.look_up, forms=FORMS, monotonic=lambda: self.seconds)

    async def refused_of(self, keys: Iterator[str]) -> tuple[int, int]:
        """Presents keys that are nobody's. Returns how many were called wrong and how many were put off."""
        wrong = put_off = 0
        for key in keys:
            try:
                assert await self.cache.find(key) is None
                wrong += 1
            except ServiceError as error:
                put_off += (error.reason, error.metadata) == (
                    Reason.UNAVAILABLE,
                    {"retry_after_seconds": "1"},
                )
        return wrong, put_off


@pytest.fixture
def world() -> World:
    return World()


def body() -> str:
    return KEY_PREFIXES["seedancee2", "live"] + f"{next(_numbers):032d}"


def older_key() -> str:
    whole = body()
    return whole + older_checksum(whole)


def older_forgeries() -> Iterator[str]:
    return (older_key() for _ in range(FORGED))


def test_a_key_is_signed_by_whoever_has_the_secret_alone() -> None:
    assert FORMS.form_of(FORMS.complete(body())) is KeyForm.SIGNED
    assert FORMS.form_of(FORGERY.complete(body())) is None
    assert FORMS.form_of(body() + "0" * CHECKSUM_LENGTH) is None
    assert FORMS.form_of(body() + "é" * CHECKSUM_LENGTH) is None


def test_without_a_secret_no_key_is_signed() -> None:
    assert KeyForms().form_of(FORMS.complete(body())) is None


def test_a_new_secret_signs_and_the_one_before_still_opens() -> None:
    both = KeyForms(["the new one", KEY_SECRET])

    assert both.form_of(FORMS.complete(body())) is KeyForm.SIGNED
    assert KeyForms(["the new one"]).form_of(both.complete(body())) is KeyForm.SIGNED


async def test_a_forged_key_is_not_looked_up(world: World) -> None:
    wrong, put_off = await world.refused_of(FORGERY.complete(body()) for _ in range(FORGED))

    assert (wrong, put_off) == (FORGED, 0)
    assert world.billing.asked_count == 0


async def test_forged_keys_of_the_older_form_are_looked_up_no_more_than_is_allowed(world: World) -> None:
    wrong, put_off = await world.refused_of(older_forgeries())
    world.seconds += 1
    wrong_later, _ = await world.refused_of(older_forgeries())

    assert (wrong, put_off) == (STRANGERS_AT_ONCE_MAX, FORGED - STRANGERS_AT_ONCE_MAX)
    assert wrong_later == STRANGERS_PER_SECOND_MAX
    assert world.billing.asked_count == STRANGERS_AT_ONCE_MAX + STRANGERS_PER_SECOND_MAX


async def test_a_new_key_is_served_while_keys_are_forged(world: World) -> None:
    await world.refused_of(older_forgeries())

    assert await world.cache.find(world.billing.issue(FORMS.complete(body()))) == ACME


async def test_a_key_of_the_older_form_that_was_served_once_is_served_while_keys_are_forged(
    world: World,
) -> None:
    key = world.billing.issue(older_key())
    await world.cache.find(key)
    world.seconds += CACHE_SECONDS
    await world.refused_of(older_forgeries())

    assert await world.cache.find(key) == ACME


async def test_keys_that_are_somebodys_use_nothing_up(world: World) -> None:
    for _ in range(2 * STRANGERS_AT_ONCE_MAX):
        assert await world.cache.find(world.billing.issue(older_key())) == ACME


async def test_forged_keys_do_not_push_out_those_that_bridge_an_outage(world: World) -> None:
    keys = [
        world.billing.issue(make(body()))
        for make in (FORMS.complete, lambda part: part + older_checksum(part))
    ]
    for key in keys:
        await world.cache.find(key)
    for _ in range(2 * FORGED // STRANGERS_AT_ONCE_MAX):
        await world.refused_of(older_key() for _ in range(STRANGERS_AT_ONCE_MAX))
        world.seconds += STRANGERS_AT_ONCE_MAX / STRANGERS_PER_SECOND_MAX
        for key in keys:
            await world.cache.find(key)
    world.billing.is_away = True
    world.seconds += OUTAGE_SECONDS_MAX - CACHE_SECONDS

    assert [await world.cache.find(key) for key in keys] == [ACME, ACME]


async def test_a_disabled_key_stops_and_one_that_is_enabled_again_starts(world: World) -> None:
    key = world.billing.issue(FORMS.complete(body()))
    answers = [await world.cache.find(key)]
    for keys in (set[bytes](), set(world.billing.keys)):
        world.billing.keys = keys
        world.seconds += CACHE_SECONDS
        answers.append(await world.cache.find(key))

    assert answers == [ACME, None, ACME]
