"""How slots are shared out, from one state of a key to the next."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.domain import KeyCalls, SlotLease
from services.billing.operations.lease_calls import LEASE_US, lease_slots
from services.common.rate_limit.protocol import (
    GRID_US,
    HORIZON_US,
    MOMENTS_MAX,
    US_PER_SECOND,
    WINDOW_US,
    CallLease,
    CallReport,
    Moments,
    count_of,
    moments_of,
    split_moments,
)

NOW = 1_000 * US_PER_SECOND


def calls(limit: int, *, cooling: Moments = (), held: tuple[SlotLease, ...] = ()) -> KeyCalls:
    return KeyCalls(key_id="key_1", calls_per_minute=limit, cooling=cooling, held=held)


def held(holder: str, slots: Moments, *, until_us: int = NOW + LEASE_US, turn: int = 1) -> SlotLease:
    return SlotLease(holder=holder, turn=turn, accounted_count=0, until_us=until_us, slots=slots)


def report(**changes: Any) -> CallReport:
    values = {
        "key_id": "key_1", "answered_turn": 1, "used": (), "kept_count": 0, "wanted_count": 0, "takes_share": False,
    }  # fmt: skip
    return CallReport(**cast("dict[str, Any]", {**values, **changes}))


def lease(
    state: KeyCalls, wish: CallReport, *, holder: str = "me", turn: int = 2
) -> tuple[KeyCalls, CallLease]:
    changed, answer = lease_slots(state, wish, holder=holder, turn=turn, now_us=NOW)
    assert answer is not None
    return changed, answer


def test_a_first_lease_is_half_of_what_is_free_and_leaves_others_the_rest() -> None:
    state, first = lease(calls(600), report(wanted_count=1, takes_share=True))
    state, second = lease(state, report(wanted_count=1, takes_share=True), holder="other")

    assert (first.slots, first.spare_count, first.free_count) == (((0, 300),), 300, 600)
    assert (second.slots, second.spare_count, second.elsewhere_count) == (((0, 75),), 225, 300)


def test_who_needs_more_than_a_share_gets_it() -> None:
    _, answer = lease(calls(600), report(wanted_count=500, takes_share=True))

    assert count_of(answer.slots) == 500


def test_a_used_slot_is_free_again_after_a_minute_and_leased_a_moment_before() -> None:
    state, _ = lease(calls(1, held=(held("me", ((0, 1),)),)), report(used=((NOW - 5, 1),)))
    free_at = NOW - 5 + WINDOW_US
    wish = report(answered_turn=2, wanted_count=1)

    _, early = lease_slots(state, wish, holder="me", turn=3, now_us=free_at - HORIZON_US - 1)
    _, soon = lease_slots(state, wish, holder="me", turn=3, now_us=free_at - HORIZON_US)

    assert state.cooling == ((free_at, 1),)
    assert early is not None
    assert (early.slots, early.next_free_us) == ((), free_at)
    assert soon is not None
    assert soon.slots == ((free_at, 1),)


def test_what_is_returned_is_as_free_as_it_was() -> None:
    soon = NOW + 5
    state, _ = lease(calls(3, held=(held("me", ((0, 1), (soon, 2))),)), report(kept_count=1, wanted_count=1))

    assert state.cooling == ((soon, 2),)
    assert [lease.slots for lease in state.held] == [((0, 1),)]


def test_a_lease_that_ended_counts_as_used_at_its_end() -> None:
    ended = held("dead", ((0, 3),), until_us=NOW)

    state, answer = lease(calls(4, held=(ended,)), report(wanted_count=4))

    assert state.cooling == ((NOW + WINDOW_US, 3),)
    assert (answer.slots, answer.elsewhere_count) == (((0, 1),), 0)


def test_a_request_that_a_later_one_overtook_changes_nothing() -> None:
    state = calls(5, held=(held("me", ((0, 2),), turn=7),))

    changed, answer = lease_slots(state, report(wanted_count=5), holder="me", turn=7, now_us=NOW)

    assert (changed, answer) == (state, None)


def test_after_a_limit_was_lowered_nothing_is_free_until_fewer_were_used() -> None:
    cooling = tuple((NOW + second * US_PER_SECOND, 1) for second in range(1, 11))

    _, above = lease(calls(4, cooling=cooling), report(wanted_count=4))

    assert (above.slots, above.free_count) == ((), 0)
    assert above.next_free_us == NOW + 7 * US_PER_SECOND


def test_many_moments_are_counted_on_a_grid_and_never_earlier() -> None:
    used = [(NOW + number * 1_001, 1) for number in range(MOMENTS_MAX + 1)]

    merged = moments_of(used)

    assert len(merged) <= MOMENTS_MAX
    assert count_of(merged) == len(used)
    for moment, _ in merged:
        assert moment % GRID_US == 0
    for moment, count in used:
        later = sum(many for at, many in merged if at >= moment)
        assert later >= sum(many for at, many in used if at >= moment), count


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5))), st.integers(0, 60))
def test_moments_are_split_without_losing_any(pairs: list[tuple[int, int]], count: int) -> None:
    moments = moments_of(pairs)

    first, rest = split_moments(moments, count)

    assert count_of(first) == min(count, count_of(moments))
    assert moments_of([*first, *rest]) == moments
    assert not first or not rest or first[-1][0] <= rest[0][0]


@pytest.mark.parametrize("limit", [1, 10, 600])
def test_never_more_is_leased_than_there_are_slots(limit: int) -> None:
    state = calls(limit)
    for number in range(20):
        state, _ = lease(
            state, report(wanted_count=limit // 3 + 1, takes_share=True), holder=f"holder-{number}"
        )

    assert sum(count_of(lease.slots) for lease in state.held) == limit
