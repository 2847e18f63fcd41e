from datetime import UTC, datetime

import pytest

from services.webhooks.domain import (
    ACCOUNT_MAX,
    RECEIVER_MAX,
    Answer,
    Attempt,
    Delivery,
    Judgement,
    NoAnswer,
    Rooms,
    judge,
)
from services.webhooks.workers.load import (
    OVERLOADS_MAX,
    QUICK_MIN,
    QUICK_MS_MAX,
    QUICK_RECEIVER_MAX,
    REMEMBERED_MAX,
    Load,
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


def _judged(delivery: Delivery, result: Answer | NoAnswer, *, latency_ms: int = 1) -> Judgement:
    started_at = datetime.fromtimestamp(0, UTC)
    return judge(Attempt(delivery=delivery, started_at=started_at, latency_ms=latency_ms, result=result))


def _begin(load: Load, *deliveries: Delivery) -> None:
    load.begin(deliveries, rooms=load.rooms())


def _attempt(load: Load, receiver: str, *results: Answer | NoAnswer, latency_ms: int = 1) -> None:
    for result in results:
        _begin(load, _delivery(receiver))
        load.learn(_judged(_delivery(receiver), result, latency_ms=latency_ms))
        load.end([_delivery(receiver)])


def _room(load: Load, receiver: str) -> int:
    """Returns the room of a receiver of which one delivery is in hand."""
    _begin(load, _delivery(receiver))
    room = load.rooms().receivers[receiver]
    load.end([_delivery(receiver)])
    return room


def test_what_was_claimed_takes_room_of_its_receiver_and_its_account() -> None:
    load = Load()

    _begin(load, _delivery("a"), _delivery("a"), _delivery("b"), _delivery("c", "acct_2"))

    assert load.rooms() == Rooms(
        receivers={"a": RECEIVER_MAX - 2, "b": RECEIVER_MAX - 1, "c": RECEIVER_MAX - 1},
        accounts={"acct_1": ACCOUNT_MAX - 3, "acct_2": ACCOUNT_MAX - 1},
    )


def test_what_was_attempted_takes_room_until_it_is_recorded() -> None:
    load = Load()
    _begin(load, _delivery("a"))

    load.learn(_judged(_delivery("a"), ANSWER))
    attempted = load.rooms()
    load.end([_delivery("a")])

    assert attempted == Rooms(receivers={"a": RECEIVER_MAX - 1}, accounts={"acct_1": ACCOUNT_MAX - 1})
    assert load.rooms() == Rooms()


def test_what_was_recorded_takes_no_room() -> None:
    load = Load()

    _attempt(load, "a", ANSWER, _answer(500))

    assert load.rooms() == Rooms()


@pytest.mark.parametrize("count", [RECEIVER_MAX - 1, RECEIVER_MAX])
def test_an_end_tells_whether_a_claim_may_have_left_something_of_its_receiver(count: int) -> None:
    load = Load()

    _begin(load, *[_delivery("a")] * count)

    assert load.end([_delivery("a")]) is (count == RECEIVER_MAX)


def test_an_end_tells_whether_a_claim_may_have_left_something_of_its_account() -> None:
    load = Load()

    _begin(
        load, *(_delivery(f"receiver {number}") for number in range(ACCOUNT_MAX)), _delivery("b", "acct_2")
    )

    assert load.end([_delivery("receiver 0")])
    assert not load.end([_delivery("b", "acct_2")])


def test_a_receiver_that_had_no_room_is_full_though_nothing_was_claimed() -> None:
    load = Load()
    _begin(load, *[_delivery("a")] * RECEIVER_MAX)

    _begin(load)

    assert load.end([_delivery("a")])


def test_a_claim_that_left_nothing_makes_no_receiver_full() -> None:
    load = Load()
    _begin(load, *[_delivery("a")] * RECEIVER_MAX)
    load.end([_delivery("a")])

    _begin(load)

    assert not load.end([_delivery("a")])


@pytest.mark.parametrize("result", [NO_ANSWER, _answer(500)])
def test_a_receiver_that_keeps_failing_is_tried_with_one_at_a_time(result: Answer | NoAnswer) -> None:
    load = Load()

    _attempt(load, "a", *[result] * (OVERLOADS_MAX - 1))
    before = load.rooms()
    _attempt(load, "a", result)

    assert (before, load.rooms()) == (Rooms(), Rooms(receivers={"a": 1}))


def test_a_success_opens_the_receiver_again() -> None:
    load = Load()

    _attempt(load, "a", *[NO_ANSWER] * (OVERLOADS_MAX + 3), ANSWER, NO_ANSWER)

    assert load.rooms() == Rooms()


@pytest.mark.parametrize("result", [_answer(404), NOT_ASKED])
def test_refusals_and_our_own_outages_do_not_close_a_receiver(result: Answer | NoAnswer) -> None:
    load = Load()

    _attempt(load, "a", *[result] * (2 * OVERLOADS_MAX))

    assert load.rooms() == Rooms()


@pytest.mark.parametrize(
    ("latency_ms", "receiver_max"), [(QUICK_MS_MAX, QUICK_RECEIVER_MAX), (QUICK_MS_MAX + 1, RECEIVER_MAX)]
)
def test_a_receiver_that_takes_all_quickly_is_trusted_with_more(latency_ms: int, receiver_max: int) -> None:
    load = Load()

    _attempt(load, "a", *[ANSWER] * QUICK_MIN, latency_ms=latency_ms)

    assert _room(load, "a") == receiver_max - 1


def test_the_first_failure_ends_that_trust() -> None:
    load = Load()

    _attempt(load, "a", *[ANSWER] * QUICK_MIN, NO_ANSWER)

    assert _room(load, "a") == RECEIVER_MAX - 1


def test_a_bounded_number_of_receivers_is_remembered() -> None:
    load = Load()

    for number in range(REMEMBERED_MAX + 1):
        _attempt(load, f"receiver {number}", *[NO_ANSWER] * OVERLOADS_MAX)

    closed = load.rooms().receivers
    assert len(closed) == REMEMBERED_MAX
    assert "receiver 0" not in closed
