"""How often keys may call, over processes that die and a network that loses answers. No real time passes."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial, wraps

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.auth.authentication import OPEN_TO_ALL
from services.common.rate_limit.limiter import ASK_EVERY_SECONDS, Decision, limited
from tests.unit.common.rate_limit.limit_world import Billing, Passage, World, act_at, shortest_time_of
from tests.unit.common.virtual_time import run_virtually

MICROSECOND = 1e-6
Act = tuple[float, Callable[[], Awaitable[Decision]]]

passages = st.builds(
    Passage,
    there_seconds=st.sampled_from([0.0, 0.01, 0.7, 2.0]),
    back_seconds=st.sampled_from([0.0, 0.01, 0.7, 2.0]),
    lost=st.sampled_from(["", "", "there", "back", "late"]),
)
moments = st.floats(0, 75)


def virtually(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*arguments: object, **named: object) -> None:
        run_virtually(test(*arguments, **named))

    return run


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    limit=st.integers(1, 6),
    processes=st.integers(1, 3),
    calls=st.lists(st.tuples(moments, st.integers(1, 8), st.integers(0, 2)), min_size=1, max_size=60),
    deaths=st.lists(st.tuples(moments, st.integers(0, 2)), max_size=3),
    network=st.lists(passages, min_size=10, max_size=60),
)
def test_no_60_seconds_see_more_than_the_limit_whatever_is_lost_and_whoever_dies(
    limit: int,
    processes: int,
    calls: list[tuple[float, int, int]],
    deaths: list[tuple[float, int]],
    network: list[Passage],
) -> None:
    async def live() -> list[float]:
        async with World(Billing(limit, network), processes=processes) as world:
            await act_at(
                [
                    *(
                        (at, partial(_several, world, limit, count, number % processes))
                        for at, count, number in calls
                    ),
                    *((at, partial(world.replace, number % processes)) for at, number in deaths),
                ]
            )
            return world.admitted

    admitted = run_virtually(live())

    assert shortest_time_of(limit, admitted) >= 60 - MICROSECOND


async def _several(world: World, limit: int, count: int, process: int) -> None:
    await asyncio.gather(*(world.call(limit, process=process) for _ in range(count)))


@pytest.mark.parametrize(("limit", "minutes"), [(1, 10), (6, 10), (60, 10), (600, 3)])
@pytest.mark.parametrize("processes", [1, 2])
@virtually
async def test_steady_traffic_at_the_limit_is_never_refused(limit: int, minutes: int, processes: int) -> None:
    async with World(Billing(limit, _a_real_network()), processes=processes) as world:
        calls = (
            (number * 60 / limit, partial(world.call, limit, process=number % processes))
            for number in range(limit * minutes)
        )
        decisions = await act_at(calls)

        assert all(decision.allowed for decision in decisions)
        assert shortest_time_of(limit, world.admitted) >= 60 - MICROSECOND


def _a_real_network() -> Iterator[Passage]:
    for there, back in itertools.cycle(itertools.product((1, 3, 0.5, 5), (2, 0.5, 4))):
        yield Passage(there_seconds=there / 1000, back_seconds=back / 1000)


@pytest.mark.parametrize("processes", [1, 3])
@virtually
async def test_a_burst_of_as_many_calls_as_may_be_is_let_through_and_no_more(processes: int) -> None:
    async with World(Billing(600), processes=processes) as world:
        burst = await asyncio.gather(*(world.call(600, process=number % processes) for number in range(600)))
        more = await asyncio.gather(*(world.call(600, process=number % processes) for number in range(300)))

        assert all(decision.allowed for decision in burst)
        assert not any(decision.allowed for decision in more)


@virtually
async def test_what_remains_counts_down_to_the_refusal_that_says_when_to_come_back() -> None:
    async with World(Billing(3), processes=1) as world:
        decisions = await act_at((number * 5.1, partial(world.call, 3)) for number in range(4))

        assert [decision.allowed for decision in decisions] == [True, True, True, False]
        assert [decision.remaining for decision in decisions] == [2, 1, 0, 0]
        assert [decision.reset_seconds for decision in decisions] == [60, 55, 50, 45]
        assert {decision.limit for decision in decisions} == {3}

        await asyncio.sleep(decisions[-1].reset_seconds)
        again = await world.call(3)

        assert (again.allowed, again.remaining, again.reset_seconds) == (True, 0, 5)


@virtually
async def test_a_call_waits_for_a_slot_that_is_free_within_a_second() -> None:
    async with World(Billing(1), processes=1) as world:
        first, early, soon = await act_at((at, partial(world.call, 1)) for at in (0.0, 58.5, 59.2))

        assert (first.allowed, early.allowed, soon.allowed) == (True, False, True)
        assert early.reset_seconds == 2


@virtually
async def test_processes_ask_for_a_key_at_most_once_a_second_and_for_many_keys_together() -> None:
    billing = Billing(600)
    async with World(billing, processes=1) as world:
        await act_at(
            (second + number / 997, partial(world.call, 600, key_id=f"key_{number}"))
            for second in range(10)
            for number in range(100)
        )

    asked = defaultdict(list)
    for at, _, keys in billing.requests[:-1]:
        for key in keys:
            asked[key].append(at)
    waits = [later - first for times in asked.values() for first, later in itertools.pairwise(times)]
    assert len(asked) == 100
    assert min(waits) >= ASK_EVERY_SECONDS - MICROSECOND
    assert len(billing.requests) < sum(map(len, asked.values())) / 2


@virtually
async def test_a_flood_is_refused_without_asking_and_waits_for_no_other_key() -> None:
    billing = Billing(10)
    async with World(billing, processes=1) as world:
        loud = partial(world.call, 10, key_id="loud")
        loop = asyncio.get_running_loop()

        async def quiet() -> Decision:
            asked_at = loop.time()
            decision = await world.call(10, key_id="quiet")
            assert loop.time() - asked_at < 0.1
            return decision

        flood: list[Act] = [(number / 500, loud) for number in range(5_000)]
        decisions = await act_at([*flood, *((second + 0.5, quiet) for second in range(10))])

        assert sum(decision.allowed for decision in decisions) == 20
        assert sum("loud" in keys for _, _, keys in billing.requests) <= 12


@virtually
async def test_a_key_that_is_not_used_is_forgotten_with_all_it_held() -> None:
    billing = Billing(600)
    async with World(billing, processes=1) as world:
        await world.call(600)
        await asyncio.sleep(5)

        assert world.limiters[0]._keys == {}
        assert billing.calls["key_1"].held == ()
        assert sum(count for _, count in billing.calls["key_1"].cooling) == 1


@virtually
async def test_a_process_that_stops_gives_back_what_it_did_not_use() -> None:
    billing = Billing(600)
    async with World(billing, processes=1) as world:
        await asyncio.gather(*(world.call(600) for _ in range(10)))

    assert billing.calls["key_1"].held == ()
    assert sum(count for _, count in billing.calls["key_1"].cooling) == 10


@virtually
async def test_what_a_dead_process_held_counts_as_used_until_it_is_a_minute_old() -> None:
    async with World(Billing(2), processes=2) as world:
        assert (await world.call(2)).allowed
        await world.replace(0)

        at_once = [await world.call(2, process=1) for _ in range(2)]
        await asyncio.sleep(66)
        later = [await world.call(2, process=1) for _ in range(2)]

        assert [decision.allowed for decision in at_once] == [True, False]
        assert all(decision.allowed for decision in later)


LOST = Passage(lost="there")


@virtually
async def test_while_billing_is_down_polls_are_let_through_up_to_the_limit_and_nothing_else() -> None:
    async with World(Billing(3, [LOST] * 4), processes=1) as world:
        write = await world.call(3)
        polls = [await world.call(3, poll=True) for _ in range(4)]

        assert (write.allowed, write.is_known) == (False, False)
        assert [poll.allowed for poll in polls] == [True, True, True, False]
        assert [poll.remaining for poll in polls] == [2, 1, 0, 0]
        assert polls[-1].reset_seconds == 60


@virtually
async def test_when_billing_is_back_it_decides_again() -> None:
    async with World(Billing(3, [LOST, LOST]), processes=1) as world:
        decisions = await act_at((at, partial(world.call, 3)) for at in (0.0, 0.5, 1.5, 4.0))

        assert [decision.is_known for decision in decisions] == [False, False, False, True]
        assert decisions[-1].allowed


@virtually
async def test_slots_that_are_held_are_used_while_billing_is_down() -> None:
    async with World(Billing(600, [Passage(), *[LOST] * 10]), processes=1) as world:
        decisions = await act_at((at, partial(world.call, 600)) for at in (0.0, 0.5, 0.9, 2.0))

        assert [decision.allowed for decision in decisions[:3]] == [True, True, True]


def test_a_service_that_is_open_to_all_is_not_limited() -> None:
    async def inside(_request: object, _context: object) -> None:
        return None

    limiter: object = None
    middleware = limited(limiter, {"reelgate.callback.v1.CallbackService": OPEN_TO_ALL})  # type: ignore[arg-type]

    assert middleware("/reelgate.callback.v1.CallbackService/ReceiveCallback", inside) is inside
