from datetime import UTC, datetime

import pytest

from services.webhooks.capacity import (
    OVERLOADS_MAX,
    QUICK_MIN,
    QUICK_MS_MAX,
    QUICK_RECEIVER_MAX,
    RECENT_MAX,
    REMEMBERED_MAX,
    Capacity,
)
from services.webhooks.domain import (
    ACCOUNT_MAX,
    RECEIVER_MAX,
    Answer,
    Attempt,
    Delivery,
    FreeCapacity,
    NoAnswer,
    Verdict,
    judge,
)

NO_ANSWER = NoAnswer(error="connection refused", is_ours=False)
NOT_ASKED = NoAnswer(error="the host name does not resolve", is_ours=True)


def _answer(status: int) -> Answer:
    return Answer(status=status, excerpt=b"")


ANSWER = _answer(200)


def _delivery(receiver: str, account: str = "acct_1") -> Delivery:
    return Delivery(
        job_id="vid_1",
        target_id="callback",
        receiver_id=receiver,
        account_id=account,
        environment="live",
        lease_no=1,
        attempt_count=0,
        postponement_count=0,
        event_id="vid_1-1",
        contract="seedancee2",
        type="video.generation.completed",
        target_url="https://example.com/hook",
        body=b"{}",
        sealed_secrets=(),
    )


def _verdicts(delivery: Delivery, result: Answer | NoAnswer, *, latency_ms: int = 1) -> Verdict:
    started_at = datetime.fromtimestamp(0, UTC)
    return judge(Attempt(delivery=delivery, started_at=started_at, latency_ms=latency_ms, result=result))


def _begin(capacity: Capacity, *deliveries: Delivery) -> None:
    capacity.begin(deliveries, rooms=capacity.rooms())


def _attempt(capacity: Capacity, receiver: str, *results: Answer | NoAnswer, latency_ms: int = 1) -> None:
    for result in results:
        _begin(capacity, _delivery(receiver))
        capacity.learn(_verdicts(_delivery(receiver), result, latency_ms=latency_ms))
        capacity.end([_delivery(receiver)])


def _room(capacity: Capacity, receiver: str) -> int:
    """Returns the room of a receiver of which one delivery is in hand."""
    _begin(capacity, _delivery(receiver))
    room = capacity.rooms().receivers[receiver]
    capacity.end([_delivery(receiver)])
    return room


def test_what_was_claimed_takes_room_of_its_receiver_and_its_account() -> None:
    capacity = Capacity()

    _begin(capacity, _delivery("a"), _delivery("a"), _delivery("b"), _delivery("c", "acct_2"))

    assert capacity.rooms() == FreeCapacity(
        receivers={"a": RECEIVER_MAX - 2, "b": RECEIVER_MAX - 1, "c": RECEIVER_MAX - 1},
        accounts={"acct_1": ACCOUNT_MAX - 3, "acct_2": ACCOUNT_MAX - 1},
    )


def test_what_was_attempted_takes_room_until_it_is_recorded() -> None:
    capacity = Capacity()
    _begin(capacity, _delivery("a"))

    capacity.learn(_verdicts(_delivery("a"), ANSWER))
    attempted = capacity.rooms()
    capacity.end([_delivery("a")])

    assert attempted == FreeCapacity(receivers={"a": RECEIVER_MAX - 1}, accounts={"acct_1": ACCOUNT_MAX - 1})
    assert capacity.rooms() == FreeCapacity()


def test_what_was_recorded_takes_no_room() -> None:
    capacity = Capacity()

    _attempt(capacity, "a", ANSWER, _answer(500))

    assert capacity.rooms() == FreeCapacity()


@pytest.mark.parametrize("count", [RECEIVER_MAX - 1, RECEIVER_MAX])
def test_an_end_tells_whether_a_claim_may_have_left_something_of_its_receiver(count: int) -> None:
    capacity = Capacity()

    _begin(capacity, *[_delivery("a")] * count)

    assert capacity.end([_delivery("a")]) is (count == RECEIVER_MAX)


def test_an_end_tells_whether_a_claim_may_have_left_something_of_its_account() -> None:
    capacity = Capacity()

    _begin(
        capacity,
        *(_delivery(f"receiver {number}") for number in range(ACCOUNT_MAX)),
        _delivery("b", "acct_2"),
    )

    assert capacity.end([_delivery("receiver 0")])
    assert not capacity.end([_delivery("b", "acct_2")])


def test_a_receiver_that_had_no_room_is_full_though_nothing_was_claimed() -> None:
    capacity = Capacity()
    _begin(capacity, *[_delivery("a")] * RECEIVER_MAX)

    _begin(capacity)

    assert capacity.end([_delivery("a")])


def test_a_claim_that_left_nothing_makes_no_receiver_full() -> None:
    capacity = Capacity()
    _begin(capacity, *[_delivery("a")] * RECEIVER_MAX)
    capacity.end([_delivery("a")])

    _begin(capacity)

    assert not capacity.end([_delivery("a")])


@pytest.mark.parametrize("result", [NO_ANSWER, _answer(500)])
def test_a_receiver_that_keeps_failing_is_tried_with_one_at_a_time(result: Answer | NoAnswer) -> None:
    capacity = Capacity()

    _attempt(capacity, "a", *[result] * (OVERLOADS_MAX - 1))
    before = capacity.rooms()
    _attempt(capacity, "a", result)

    assert (before, capacity.rooms()) == (FreeCapacity(), FreeCapacity(receivers={"a": 1}))


def test_a_success_opens_the_receiver_again() -> None:
    capacity = Capacity()

    _attempt(capacity, "a", *[NO_ANSWER] * (OVERLOADS_MAX + 3), ANSWER, NO_ANSWER)

    assert capacity.rooms() == FreeCapacity()


@pytest.mark.parametrize("result", [_answer(404), NOT_ASKED])
def test_refusals_and_our_own_outages_do_not_close_a_receiver(result: Answer | NoAnswer) -> None:
    capacity = Capacity()

    _attempt(capacity, "a", *[result] * (2 * OVERLOADS_MAX))

    assert capacity.rooms() == FreeCapacity()


@pytest.mark.parametrize(
    ("latency_ms", "receiver_max"), [(QUICK_MS_MAX, QUICK_RECEIVER_MAX), (QUICK_MS_MAX + 1, RECEIVER_MAX)]
)
def test_a_receiver_that_takes_all_quickly_is_trusted_with_more(latency_ms: int, receiver_max: int) -> None:
    capacity = Capacity()

    _attempt(capacity, "a", *[ANSWER] * QUICK_MIN, latency_ms=latency_ms)

    assert _room(capacity, "a") == receiver_max - 1


def test_a_trusted_receiver_has_its_room_where_nothing_of_it_is_in_hand() -> None:
    capacity = Capacity()

    _attempt(capacity, "a", *[ANSWER] * QUICK_MIN)

    assert capacity.rooms() == FreeCapacity(receivers={"a": QUICK_RECEIVER_MAX})


def test_that_is_told_of_the_receivers_that_were_tried_last() -> None:
    capacity = Capacity()

    for number in range(RECENT_MAX + 1):
        _attempt(capacity, f"receiver {number}", *[ANSWER] * QUICK_MIN)

    assert set(capacity.rooms().receivers) == {f"receiver {number + 1}" for number in range(RECENT_MAX)}


def test_the_first_failure_ends_that_trust() -> None:
    capacity = Capacity()

    _attempt(capacity, "a", *[ANSWER] * QUICK_MIN, NO_ANSWER)

    assert _room(capacity, "a") == RECEIVER_MAX - 1


def test_a_bounded_number_of_receivers_is_remembered() -> None:
    capacity = Capacity()

    for number in range(REMEMBERED_MAX + 1):
        _attempt(capacity, f"receiver {number}", *[NO_ANSWER] * OVERLOADS_MAX)

    closed = capacity.rooms().receivers
    assert len(closed) == REMEMBERED_MAX
    assert "receiver 0" not in closed
