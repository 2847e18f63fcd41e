"""More calls than a process can do: few are inside, accounts take turns, and who would wait too long is told at once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import pytest
from reelgate.callback.v1 import callback_service_pb2
from reelgate.nextapi.v1 import job_service_pb2
from reelgate.video.v1 import video_service_pb2

from services.common.errors import Reason, ServiceError
from services.common.rpc.overload import JOIN_SECONDS_MAX, WAIT_SECONDS_MAX, Entrance, creates
from tests.unit.common.virtual_time import run_virtually

INSIDE = 10
CALL_SECONDS = 0.1
PER_SECOND = INSIDE / CALL_SECONDS
"""What the process of these tests can do."""
STORM_SECONDS = 5.0


@dataclass
class World:
    """Calls of a process that takes CALL_SECONDS for each, or as long as it is stalled."""

    entrance: Entrance = field(default_factory=lambda: Entrance(inside_max=INSIDE))
    stalled: asyncio.Event | None = None
    begun: list[str] = field(default_factory=list)
    waited: dict[str, list[float]] = field(default_factory=dict)
    refusals: list[ServiceError] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    refused_after: list[float] = field(default_factory=list)

    async def call(self, account_id: str) -> bool:
        """Returns whether it was done."""
        now = asyncio.get_running_loop().time
        came = now()
        try:
            await self.entrance.enter(account_id)
        except ServiceError as error:
            self.refusals.append(error)
            self.refused[account_id] += 1
            self.refused_after.append(now() - came)
            return False
        self.begun.append(account_id)
        self.waited.setdefault(account_id, []).append(now() - came)
        try:
            await (asyncio.sleep(CALL_SECONDS) if self.stalled is None else self.stalled.wait())
        finally:
            self.entrance.leave()
        return True

    async def arrive(
        self, account_of: Callable[[int], str], *, per_second: float, seconds: float
    ) -> list[bool]:
        """Has calls come at this rate, whether those before are done or not. Returns which of them were."""
        calls = []
        for number in range(round(per_second * seconds)):
            calls.append(asyncio.create_task(self.call(account_of(number))))
            await asyncio.sleep(1 / per_second)
        return await asyncio.gather(*calls)


def in_virtual_time(test: Callable[[], Coroutine[object, object, None]]) -> Callable[[], None]:
    def run() -> None:
        run_virtually(test())

    run.__name__ = test.__name__
    return run


async def until_waiting() -> None:
    """Lets all that can go on do so; no time passes."""
    for _ in range(5):
        await asyncio.sleep(0)


@in_virtual_time
async def test_at_ten_times_what_can_be_done_the_process_does_all_that_it_can() -> None:
    world = World()

    done = await world.arrive(
        lambda number: f"acct_{number % 40}", per_second=10 * PER_SECOND, seconds=STORM_SECONDS
    )

    assert {(each.reason, each.metadata["retry_after_seconds"]) for each in world.refusals} == {
        (Reason.UNAVAILABLE, "1")
    }
    assert sum(done) >= 0.99 * PER_SECOND * STORM_SECONDS
    assert max(max(each) for each in world.waited.values()) <= WAIT_SECONDS_MAX
    assert max(world.refused_after) <= WAIT_SECONDS_MAX
    # Most are told at once: only those who came while it was not known yet have waited for it.
    assert sum(after == 0 for after in world.refused_after) >= 0.8 * len(world.refused_after)


@in_virtual_time
async def test_under_the_storm_of_one_account_others_are_served_as_if_it_were_not_there() -> None:
    world = World()

    async with asyncio.TaskGroup() as group:
        group.create_task(world.arrive(lambda _: "loud", per_second=10 * PER_SECOND, seconds=STORM_SECONDS))
        group.create_task(
            world.arrive(
                lambda number: f"quiet_{number % 5}", per_second=0.4 * PER_SECOND, seconds=STORM_SECONDS
            )
        )

    assert set(world.refused) == {"loud"}
    others = [seconds for name, each in world.waited.items() if name != "loud" for seconds in each]
    assert len(others) == 0.4 * PER_SECOND * STORM_SECONDS
    assert max(others) < JOIN_SECONDS_MAX / 2
    assert len(world.waited["loud"]) >= 0.55 * PER_SECOND * STORM_SECONDS


@in_virtual_time
async def test_accounts_take_turns_whoever_came_first() -> None:
    world = World(stalled=asyncio.Event())
    inside = [asyncio.create_task(world.call("first")) for _ in range(INSIDE)]
    waiting = [asyncio.create_task(world.call(name)) for name in ("a", "a", "a", "b", "b", "c")]
    await until_waiting()

    assert world.stalled is not None
    world.stalled.set()
    await asyncio.gather(*inside, *waiting)

    assert world.begun[INSIDE:] == ["a", "b", "c", "a", "b", "a"]


@in_virtual_time
async def test_while_nothing_moves_newcomers_are_told_at_once_and_who_waits_after_a_while() -> None:
    world = World(stalled=asyncio.Event())
    inside = [asyncio.create_task(world.call("a")) for _ in range(INSIDE)]
    waiting = [asyncio.create_task(world.call("b")) for _ in range(3)]
    await asyncio.sleep(JOIN_SECONDS_MAX)

    with pytest.raises(ServiceError):
        world.entrance.refuse_if_full()
    assert not await world.call("a newcomer")
    assert world.refused_after == [0.0]
    assert await asyncio.gather(*waiting) == [False] * 3
    assert world.refused_after[1:] == [pytest.approx(WAIT_SECONDS_MAX)] * 3

    assert world.stalled is not None
    world.stalled.set()
    assert await asyncio.gather(*inside) == [True] * INSIDE
    world.entrance.refuse_if_full()
    assert await asyncio.gather(*(world.call("a newcomer") for _ in range(INSIDE))) == [True] * INSIDE
    assert max(world.waited["a newcomer"]) == 0


@in_virtual_time
async def test_when_the_storm_is_over_nobody_is_refused_any_more() -> None:
    world = World()
    storm = asyncio.create_task(
        world.arrive(lambda number: f"acct_{number % 40}", per_second=10 * PER_SECOND, seconds=STORM_SECONDS)
    )
    await asyncio.sleep(STORM_SECONDS)
    await storm
    refused = world.refused.total()

    assert all(await world.arrive(lambda _: "acct_1", per_second=0.9 * PER_SECOND, seconds=2.0))
    assert world.refused.total() == refused


@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "when it was just let in"])
def test_a_caller_that_hangs_up_keeps_no_place(late: bool) -> None:
    async def run() -> None:
        world = World(stalled=asyncio.Event())
        inside = [asyncio.create_task(world.call("a")) for _ in range(INSIDE)]
        await until_waiting()
        waiting = asyncio.create_task(world.call("b"))
        await until_waiting()
        if late:
            world.entrance.leave()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        if not late:
            world.entrance.leave()

        assert await asyncio.wait_for(_entered(world.entrance), WAIT_SECONDS_MAX / 2)
        for each in inside:
            each.cancel()
        await asyncio.gather(*inside, return_exceptions=True)

    run_virtually(run())


async def _entered(entrance: Entrance) -> bool:
    await entrance.enter("c")
    return True


def test_only_creations_go_through_the_door() -> None:
    methods = [
        f"/{service.full_name}/{method}"
        for module in (callback_service_pb2, job_service_pb2, video_service_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods_by_name
    ]

    assert {method for method in methods if creates(method)} == {
        "/reelgate.video.v1.VideoService/CreateVideo",
        "/reelgate.nextapi.v1.JobService/CreateJob",
    }
