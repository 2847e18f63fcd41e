"""Who buys is made of a key once, for as long as the key is remembered."""

from dataclasses import replace
from typing import Any, cast

from grpc.aio import ServicerContext

from services.common.auth.authentication import CACHE_SECONDS, Caller, KeyCache, authenticated
from services.common.auth.key_forms import older_checksum
from services.jobs.domain.requests import Buyer
from services.jobs.rpc.access import PUBLIC_ACCESS, VIDEO_SERVICE
from services.jobs.rpc.calls import buyer, owner

KEY = "sk_seedancee2_live_" + "A" * 32
SECRET = KEY + older_checksum(KEY)
CALLER = Caller(key_id="key_1", account_id="acct_1", environment="live", contract="seedancee2")


class Call:
    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", SECRET),)


class World:
    """One key, whose rules may change."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rules = CALLER
        keys = KeyCache(self.look_up, monotonic=lambda: self.now)
        self._call = authenticated(keys, PUBLIC_ACCESS)(f"/{VIDEO_SERVICE}/CreateVideo", self._inside)

    async def look_up(self, _digest: bytes) -> Caller:
        return replace(self.rules)

    async def _inside(self, _request: Any, _context: Any) -> Buyer:
        assert owner() is buyer().owner
        return buyer()

    async def call(self) -> Buyer:
        found: Buyer = await self._call(None, cast("ServicerContext[Any, Any]", Call()))
        return found


async def test_calls_with_a_remembered_key_share_one_buyer() -> None:
    world = World()

    assert await world.call() is await world.call()


async def test_new_rules_of_a_key_make_another_buyer() -> None:
    world = World()
    before = await world.call()
    world.rules = replace(CALLER, models=("mini",), account_jobs_at_once=7)
    world.now += CACHE_SECONDS

    after = await world.call()

    assert (before.models_allowed, before.caps.account_jobs) == ((), 100)
    assert (after.models_allowed, after.caps.account_jobs) == (("mini",), 7)


def test_a_changed_copy_of_a_caller_has_no_views_of_the_other() -> None:
    caller = replace(CALLER)
    caller.views["made"] = "of this one"

    assert replace(caller, environment="test").views == {}
    assert caller == CALLER
