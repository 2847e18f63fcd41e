"""Requests of one moment share a call, and none of their callers can tell."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc
import pytest

from services.common.errors import OUTAGE_MESSAGE, Reason, ServiceError, outage
from services.common.rpc.both_ends import request_id
from services.common.rpc.together import APART_SECONDS, PACE_SECONDS, REQUEST_ID_LENGTH_MAX, Together
from services.common.telemetry.tracing import span, traceparent
from tests.patience import PATIENCE_SECONDS
from tests.spans import SAMPLED, UNSAMPLED, id_of, parent_of, spans_kept, trace_of

REQUESTS_MAX = 10
OTHER = "00-1af7651916cd43dd8448eb211c80319d-c7ad6b7169203332-01"


@dataclass
class Doubling:
    """The other side: doubles numbers and refuses negative ones. It writes down the calls that it gets."""

    calls: list[list[int]] = field(default_factory=list)
    heads: list[tuple[str, str]] = field(default_factory=list)
    """Of each call, its request id and its trace."""
    failure: ServiceError | None = None
    """Of calls with several numbers."""
    began: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    """How many numbers each call had that has begun."""
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.may_answer.set()
        self.together = self.made()

    def made(self, pace_seconds: float = PACE_SECONDS) -> Together[int, int]:
        return Together(
            one=self.one,
            several=self.several,
            name="double",
            requests_max=REQUESTS_MAX,
            seconds_max=5,
            monotonic=lambda: self.now,
            pace_seconds=pace_seconds,
        )

    async def one(self, number: int, _seconds: float) -> int:
        await self._called([number])
        if number < 0:
            raise _refusal(number)
        return 2 * number

    async def several(self, numbers: Sequence[int], _seconds: float) -> list[int | ServiceError]:
        await self._called(numbers)
        if self.failure is not None:
            raise self.failure
        return [_refusal(number) if number < 0 else 2 * number for number in numbers]

    async def ask(self, *numbers: int) -> list[int | BaseException]:
        asked = (self.together.ask(number) for number in numbers)
        return await asyncio.gather(*asked, return_exceptions=True)

    async def _called(self, numbers: Sequence[int]) -> None:
        self.calls.append(list(numbers))
        self.heads.append((request_id.get(), traceparent.get()))
        self.began.put_nowait(len(numbers))
        await self.may_answer.wait()


def _refusal(number: int) -> ServiceError:
    return ServiceError(Reason.HOLD_MISMATCH, f"There is no double of {number}.", number=str(number))


def _unknown_method() -> ServiceError:
    error = outage(Reason.INTERNAL)
    none = grpc.aio.Metadata()
    error.__cause__ = grpc.aio.AioRpcError(grpc.StatusCode.UNIMPLEMENTED, none, none, "", "")
    return error


def _told(answers: Sequence[int | BaseException]) -> list[object]:
    return [str(each) if isinstance(each, ServiceError) else each for each in answers]


@pytest.fixture
async def doubling() -> Doubling:
    request_id.set("")
    traceparent.set("")
    return Doubling()


async def test_those_of_one_turn_share_a_call_and_have_an_answer_each(doubling: Doubling) -> None:
    answers = await doubling.ask(1, -2, 3)

    assert _told(answers) == [2, "There is no double of -2.", 6]
    assert isinstance(answers[1], ServiceError)
    assert answers[1].metadata == {"number": "-2"}
    assert doubling.calls == [[1, -2, 3]]


async def test_one_that_is_alone_has_a_call_of_its_own(doubling: Doubling) -> None:
    assert _told([*await doubling.ask(1), *await doubling.ask(-2)]) == [2, "There is no double of -2."]
    assert doubling.calls == [[1], [-2]]


async def test_a_call_takes_only_so_many(doubling: Doubling) -> None:
    answers = await doubling.ask(*range(2 * REQUESTS_MAX + 1))

    assert answers == [2 * number for number in range(2 * REQUESTS_MAX + 1)]
    assert [len(call) for call in doubling.calls] == [REQUESTS_MAX, REQUESTS_MAX, 1]


async def test_those_that_come_during_a_call_share_the_next_one(doubling: Doubling) -> None:
    doubling.together = doubling.made(pace_seconds=PATIENCE_SECONDS)
    doubling.may_answer.clear()
    first = asyncio.create_task(doubling.ask(1))
    await doubling.began.get()
    later = []
    for number in (2, 3):
        later.append(asyncio.create_task(doubling.ask(number)))
        await asyncio.sleep(0)
    doubling.may_answer.set()

    assert [await first, *[await each for each in later]] == [[2], [4], [6]]
    assert doubling.calls == [[1], [2, 3]]
    assert await doubling.ask(4) == [8]


async def test_a_call_that_takes_long_does_not_hold_up_the_next_one(doubling: Doubling) -> None:
    doubling.may_answer.clear()
    first = asyncio.create_task(doubling.ask(1, 2))
    await doubling.began.get()
    second = asyncio.create_task(doubling.ask(3, 4))
    await doubling.began.get()
    doubling.may_answer.set()

    assert [*await first, *await second] == [2, 4, 6, 8]


@pytest.mark.parametrize("reason", [Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED, Reason.INTERNAL])
async def test_a_call_that_fails_tells_each_what_its_own_would_have(
    doubling: Doubling, reason: Reason
) -> None:
    doubling.failure = outage(reason)

    answers = await doubling.ask(1, 2)

    assert _told(answers) == [OUTAGE_MESSAGE[reason]] * 2
    assert doubling.calls == [[1, 2]]


async def test_where_one_breaks_a_rule_each_is_asked_alone(doubling: Doubling) -> None:
    doubling.failure = ServiceError(Reason.INVALID_FIELD, "Field numbers[1] must not be negative.")

    assert _told(await doubling.ask(1, -2, 3)) == [2, "There is no double of -2.", 6]
    assert doubling.calls == [[1, -2, 3], [1], [-2], [3]]


async def test_an_older_release_is_asked_one_by_one_for_a_while(doubling: Doubling) -> None:
    doubling.failure = _unknown_method()

    assert await doubling.ask(1, 2) == [2, 4]
    assert await doubling.ask(3, 4) == [6, 8]
    assert doubling.calls == [[1, 2], [1], [2], [3], [4]]

    doubling.failure, doubling.now = None, APART_SECONDS
    assert await doubling.ask(5, 6) == [10, 12]
    assert doubling.calls[5:] == [[5, 6]]


async def test_who_stops_waiting_disturbs_nobody(doubling: Doubling) -> None:
    doubling.may_answer.clear()
    leaves, stays = (asyncio.create_task(doubling.together.ask(number)) for number in (1, 2))
    await doubling.began.get()

    leaves.cancel()
    doubling.may_answer.set()

    assert await stays == 4
    with pytest.raises(asyncio.CancelledError):
        await leaves


async def test_who_left_before_is_not_asked_for(doubling: Doubling) -> None:
    leaves = asyncio.ensure_future(doubling.together.ask(1))
    asyncio.get_running_loop().call_soon(leaves.cancel)
    stays = asyncio.create_task(doubling.together.ask(2))

    assert await stays == 4
    assert leaves.cancelled()
    assert doubling.calls == [[2]]


async def test_where_all_left_before_no_call_is_made(doubling: Doubling) -> None:
    leaves = asyncio.ensure_future(doubling.together.ask(1))
    asyncio.get_running_loop().call_soon(leaves.cancel)
    await asyncio.gather(leaves, return_exceptions=True)

    assert await doubling.ask(2) == [4]
    assert doubling.calls == [[2]]


async def test_a_mistake_of_ours_is_told_to_all_and_leaves_nobody_waiting(doubling: Doubling) -> None:
    async def too_few(_numbers: Sequence[int], _seconds: float) -> list[int | ServiceError]:
        return []

    together = Together(one=doubling.one, several=too_few, name="double", requests_max=9, seconds_max=5)
    async with asyncio.timeout(PATIENCE_SECONDS):
        answers = await asyncio.gather(together.ask(1), together.ask(2), return_exceptions=True)

    assert [type(each) for each in answers] == [ValueError] * 2


async def test_a_call_has_the_request_ids_of_all_each_cut_to_a_length(doubling: Doubling) -> None:
    async def asked(name: str, number: int) -> int:
        request_id.set(name)
        return await doubling.together.ask(number)

    await asyncio.gather(asked("first", 1), asked("x" * 1000, 2), asked("first", 3), asked("", 4))
    await asked("alone", 5)

    assert [head for head, _ in doubling.heads] == [f"first,{'x' * REQUEST_ID_LENGTH_MAX}", "alone"]


async def test_a_call_is_a_span_in_the_trace_of_each_and_all_are_linked(doubling: Doubling) -> None:
    async def asked(header: str, number: int) -> int:
        traceparent.set(header)
        return await doubling.together.ask(number)

    with spans_kept() as kept:
        await asyncio.gather(asked(UNSAMPLED, 1), asked(SAMPLED, 2), asked(OTHER, 3))

    present, other = sorted(kept.get_finished_spans(), key=lambda each: parent_of(each) != SAMPLED[36:52])
    assert (trace_of(present), parent_of(present)) == (SAMPLED[3:35], SAMPLED[36:52])
    assert (trace_of(other), parent_of(other)) == (OTHER[3:35], OTHER[36:52])
    assert [f"{link.context.span_id:016x}" for link in present.links] == [id_of(other)]
    assert [f"{link.context.span_id:016x}" for link in other.links] == [id_of(present)]
    assert doubling.heads[0][1] == f"00-{trace_of(present)}-{id_of(present)}-01"


async def test_without_a_sampled_one_the_first_header_is_passed_on(doubling: Doubling) -> None:
    async def asked(header: str, number: int) -> int:
        traceparent.set(header)
        return await doubling.together.ask(number)

    with spans_kept() as kept, span("never"):
        await asyncio.gather(asked("", 1), asked(UNSAMPLED, 2))

    assert not kept.get_finished_spans()
    assert doubling.heads == [("", UNSAMPLED)]
