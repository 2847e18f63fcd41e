from datetime import UTC, datetime

import pytest

from services.webhooks.domain import (
    ACCOUNT_MAX,
    LANE_MAX,
    Answer,
    Attempt,
    Delivery,
    Judgement,
    NoAnswer,
    Rooms,
    judge,
)
from services.webhooks.workers.lanes import (
    OVERLOADS_MAX,
    QUICK_LANE_MAX,
    QUICK_MIN,
    QUICK_MS_MAX,
    REMEMBERED_MAX,
    Lanes,
)

NO_ANSWER = NoAnswer(error="connection refused", is_ours=False)
NOT_ASKED = NoAnswer(error="the host name does not resolve", is_ours=True)


def _answer(status: int) -> Answer:
    return Answer(status=status, excerpt=b"")


ANSWER = _answer(200)


def _delivery(lane: str, account: str = "acct_1") -> Delivery:
    return Delivery(
        job_id="vid_1",
        target_id="callback",
        lane_id=lane,
        account_id=account,
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


def _begin(lanes: Lanes, *deliveries: Delivery) -> None:
    lanes.begin(deliveries, rooms=lanes.rooms())


def _attempt(lanes: Lanes, lane: str, *results: Answer | NoAnswer, latency_ms: int = 1) -> None:
    for result in results:
        _begin(lanes, _delivery(lane))
        lanes.end(_judged(_delivery(lane), result, latency_ms=latency_ms))


def _room(lanes: Lanes, lane: str) -> int:
    """Returns the room of a lane of which one delivery is under way."""
    _begin(lanes, _delivery(lane))
    room = lanes.rooms().lanes[lane]
    lanes.end(_judged(_delivery(lane), NOT_ASKED))
    return room


def test_what_is_under_way_takes_room_of_its_lane_and_its_account() -> None:
    lanes = Lanes()

    _begin(lanes, _delivery("a"), _delivery("a"), _delivery("b"), _delivery("c", "acct_2"))

    assert lanes.rooms() == Rooms(
        lanes={"a": LANE_MAX - 2, "b": LANE_MAX - 1, "c": LANE_MAX - 1},
        accounts={"acct_1": ACCOUNT_MAX - 3, "acct_2": ACCOUNT_MAX - 1},
    )


def test_what_has_ended_takes_no_room() -> None:
    lanes = Lanes()

    _attempt(lanes, "a", ANSWER, _answer(500))

    assert lanes.rooms() == Rooms()


@pytest.mark.parametrize("count", [LANE_MAX - 1, LANE_MAX])
def test_an_end_tells_whether_a_claim_may_have_left_something_of_its_lane(count: int) -> None:
    lanes = Lanes()

    _begin(lanes, *[_delivery("a")] * count)

    assert lanes.end(_judged(_delivery("a"), ANSWER)) is (count == LANE_MAX)


def test_an_end_tells_whether_a_claim_may_have_left_something_of_its_account() -> None:
    lanes = Lanes()

    _begin(lanes, *(_delivery(f"lane {number}") for number in range(ACCOUNT_MAX)), _delivery("b", "acct_2"))

    assert lanes.end(_judged(_delivery("lane 0"), ANSWER))
    assert not lanes.end(_judged(_delivery("b", "acct_2"), ANSWER))


def test_a_lane_that_had_no_room_is_full_though_nothing_was_claimed() -> None:
    lanes = Lanes()
    _begin(lanes, *[_delivery("a")] * LANE_MAX)

    _begin(lanes)

    assert lanes.end(_judged(_delivery("a"), ANSWER))


def test_a_claim_that_left_nothing_makes_no_lane_full() -> None:
    lanes = Lanes()
    _begin(lanes, *[_delivery("a")] * LANE_MAX)
    lanes.end(_judged(_delivery("a"), ANSWER))

    _begin(lanes)

    assert not lanes.end(_judged(_delivery("a"), ANSWER))


@pytest.mark.parametrize("result", [NO_ANSWER, _answer(500)])
def test_a_receiver_that_keeps_failing_is_tried_with_one_at_a_time(result: Answer | NoAnswer) -> None:
    lanes = Lanes()

    _attempt(lanes, "a", *[result] * (OVERLOADS_MAX - 1))
    before = lanes.rooms()
    _attempt(lanes, "a", result)

    assert (before, lanes.rooms()) == (Rooms(), Rooms(lanes={"a": 1}))


def test_a_success_opens_the_lane_again() -> None:
    lanes = Lanes()

    _attempt(lanes, "a", *[NO_ANSWER] * (OVERLOADS_MAX + 3), ANSWER, NO_ANSWER)

    assert lanes.rooms() == Rooms()


@pytest.mark.parametrize("result", [_answer(404), NOT_ASKED])
def test_refusals_and_our_own_outages_do_not_close_a_lane(result: Answer | NoAnswer) -> None:
    lanes = Lanes()

    _attempt(lanes, "a", *[result] * (2 * OVERLOADS_MAX))

    assert lanes.rooms() == Rooms()


@pytest.mark.parametrize(
    ("latency_ms", "lane_max"), [(QUICK_MS_MAX, QUICK_LANE_MAX), (QUICK_MS_MAX + 1, LANE_MAX)]
)
def test_a_receiver_that_takes_all_quickly_is_trusted_with_more(latency_ms: int, lane_max: int) -> None:
    lanes = Lanes()

    _attempt(lanes, "a", *[ANSWER] * QUICK_MIN, latency_ms=latency_ms)

    assert _room(lanes, "a") == lane_max - 1


def test_the_first_failure_ends_that_trust() -> None:
    lanes = Lanes()

    _attempt(lanes, "a", *[ANSWER] * QUICK_MIN, NO_ANSWER)

    assert _room(lanes, "a") == LANE_MAX - 1


def test_a_bounded_number_of_receivers_is_remembered() -> None:
    lanes = Lanes()

    for number in range(REMEMBERED_MAX + 1):
        _attempt(lanes, f"lane {number}", *[NO_ANSWER] * OVERLOADS_MAX)

    closed = lanes.rooms().lanes
    assert len(closed) == REMEMBERED_MAX
    assert "lane 0" not in closed
