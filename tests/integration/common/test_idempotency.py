"""A request with an idempotency key is run once, and answered the same ever after, whatever happens on the way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from reelgate.video.v1.video_service_pb2 import EstimateVideoRequest, ListVideosRequest

from services.common.errors import Reason, ServiceError
from services.common.idempotency.reservation import ReservationSpentError
from services.common.idempotency.store import LEASE_SECONDS, SqlIdempotencyKeys
from services.common.telemetry.call_lines import CallLine, lines_sent_to
from tests.conftest import MakeDatabase
from tests.integration.common.keyed import Answer, Service, api_key, post, running_service
from tests.patience import PATIENCE_SECONDS

DUPLICATES = 50
LOCK_ENDED = "UPDATE idempotency SET locked_until = now()"
"""What the death of a process and LEASE_SECONDS come to."""


@pytest.fixture
async def service(make_database: MakeDatabase) -> AsyncIterator[Service]:
    async with running_service(make_database("jobs"), processes=2) as running:
        yield running


class Gate:
    """Where runs wait."""

    def __init__(self) -> None:
        self.is_reached = asyncio.Event()
        self.is_open = asyncio.Event()
        self.is_left = asyncio.Event()

    async def __call__(self) -> None:
        self.is_reached.set()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.is_open.wait()
        finally:
            self.is_left.set()


async def until(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await event.wait()


async def test_a_success_is_answered_again_byte_for_byte_in_every_process(service: Service) -> None:
    first = await service.post("k")
    answers = [await post(channel, "k") for channel in service.channels]

    assert (first.status, first.is_replay) == (200, False)
    assert [(each.status, each.body, each.is_replay) for each in answers] == [(200, first.body, True)] * 2
    assert len(service.deeds.reservations) == 1


@pytest.mark.parametrize("reason", [Reason.INVALID_FIELD, Reason.MODEL_NOT_FOUND, Reason.JOB_NOT_CANCELABLE])
async def test_a_refusal_is_answered_again_byte_for_byte(service: Service, reason: Reason) -> None:
    service.deeds.fail_with(ServiceError(reason, "Nein, „so“ nicht.", needed="5"))
    first = await service.post("k")
    service.deeds.succeed()

    again = await service.post("k")

    assert (again.status, again.body, again.is_replay) == (first.status, first.body, True)
    details = "grpc-status-details-bin"
    assert again.headers[details] == first.headers[details]
    assert len(service.deeds.reservations) == 1


@pytest.mark.parametrize(
    "reason", [Reason.CREDITS_INSUFFICIENT, Reason.SPEND_LIMIT_EXCEEDED, Reason.RATE_LIMITED]
)
async def test_what_may_succeed_later_is_run_again_even_with_another_body(
    service: Service, reason: Reason
) -> None:
    service.deeds.fail_with(ServiceError(reason, "Not now."))
    refused = await service.post("k")
    service.deeds.succeed()

    then = await service.post("k", model="pro")

    assert (refused.status in {402, 429}, then.status, then.is_replay) == (True, 200, False)
    [first, second] = service.deeds.reservations
    assert first
    assert second
    assert not second.is_repeated
    assert second.ulid != first.ulid


async def test_a_refusal_that_says_when_to_repeat_the_request_is_not_kept(service: Service) -> None:
    refusal = ServiceError(Reason.JOB_NOT_CANCELABLE, "Not now.", retry_after_seconds="3")
    service.deeds.fail_with(refusal)
    refused = await service.post("k")
    service.deeds.succeed()

    then = await service.post("k")

    assert (refused.status, then.status, then.is_replay) == (409, 200, False)


@pytest.mark.parametrize("failure", [ServiceError(Reason.UNAVAILABLE, "Away."), RuntimeError("a bug")])
async def test_what_may_have_happened_is_run_again_under_the_same_name(
    service: Service, failure: Exception
) -> None:
    service.deeds.fail_with(failure)
    failed = await service.post("k")
    service.deeds.succeed()

    other = await service.post("k", model="pro")
    then = await service.post("k")

    assert (failed.status >= 500, other.status, then.status, then.is_replay) == (True, 422, 200, False)
    [first, second] = service.deeds.reservations
    assert first
    assert second
    assert (first.is_repeated, second.is_repeated, second.ulid) == (False, True, first.ulid)


async def test_credits_that_are_missing_the_second_time_do_not_free_a_name_that_may_be_taken(
    service: Service,
) -> None:
    for reason in (Reason.UNAVAILABLE, Reason.CREDITS_INSUFFICIENT):
        service.deeds.fail_with(ServiceError(reason, "Not now."))
        await service.post("k")
    service.deeds.succeed()

    await service.post("k")

    assert len({each.ulid for each in service.deeds.reservations if each}) == 1


async def test_a_name_that_can_no_longer_be_taken_is_replaced(service: Service) -> None:
    service.deeds.fail_with(ReservationSpentError("Again, please."))
    failed = await service.post("k")
    service.deeds.succeed()

    then = await service.post("k")

    assert (failed.status, then.status) == (503, 200)
    assert len({each.ulid for each in service.deeds.reservations if each}) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"model": "pro"},
        {"method": "EstimateVideo", "request": EstimateVideoRequest(model="mini")},
    ],
    ids=["body", "method"],
)
async def test_a_key_of_another_request_is_refused(service: Service, other: dict[str, Any]) -> None:
    await service.post("k")

    refused = await service.post("k", **other)

    assert refused.status == 422
    assert b'"code":"idempotency_conflict"' in refused.body
    assert len(service.deeds.reservations) == 1


async def test_a_key_of_another_request_that_still_runs_is_refused(service: Service) -> None:
    service.deeds.act = gate = Gate()
    first = asyncio.create_task(service.post("k"))
    await until(gate.is_reached)

    refused = [await post(channel, "k", model="pro") for channel in service.channels]

    assert [each.status for each in refused] == [422, 422]
    gate.is_open.set()
    assert (await first).status == 200


@pytest.mark.parametrize(
    ("given", "same"),
    [("abc", '"abc"'), (" abc ", "abc"), (r'"a\"b\\c"', 'a"b\\c'), ("x" * 255, '"' + "x" * 255 + '"')],
    ids=["plain", "spaces", "escapes", "longest"],
)
async def test_quotes_do_not_count(service: Service, given: str, same: str) -> None:
    first = await service.post(given)
    again = await service.post(same)

    assert first.status == 200
    assert (again.body, again.is_replay) == (first.body, True)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ([""], b"must be 1 to 255 printable ASCII characters. It was empty."),
        (['""'], b"must be 1 to 255 printable ASCII characters. It was empty."),
        (["x" * 256], b"must be at most 255 characters. It had 256."),
        (["a", "b"], b"must be given once."),
    ],
    ids=["empty", "empty-quoted", "long", "two"],
)
async def test_a_key_that_is_none_is_refused(service: Service, keys: list[str], says: bytes) -> None:
    refused = await service.post(*keys)

    assert refused.status == 400
    assert b'"code":"invalid_request","message":"Header Idempotency-Key ' + says in refused.body
    assert service.deeds.reservations == []


async def test_the_same_key_twice_in_one_request_is_one(service: Service) -> None:
    assert (await service.post("k", '"k"')).status == 200


async def test_keys_of_another_api_key_are_others(service: Service) -> None:
    first = await service.post("k")
    other = await service.post("k", model="pro", api=api_key(2))

    assert (other.status, other.is_replay) == (200, False)
    assert other.body != first.body


async def test_what_needs_no_key_or_writes_nothing_leaves_no_trace(service: Service) -> None:
    for _ in range(2):
        await service.post()
        await service.post("k", method="ListVideos", request=ListVideosRequest())

    assert len(service.deeds.reservations) == 4
    assert await service.sql("SELECT key FROM idempotency") == []


async def test_duplicates_in_one_process_wait_for_the_first(service: Service) -> None:
    service.deeds.act = gate = Gate()
    calls = [asyncio.create_task(service.post("k")) for _ in range(DUPLICATES)]
    await until(gate.is_reached)
    gate.is_open.set()

    answers = await asyncio.gather(*calls)

    assert len({each.body for each in answers}) == 1
    assert sorted(each.is_replay for each in answers) == [False] + [True] * (DUPLICATES - 1)
    assert len(service.deeds.reservations) == 1


async def test_a_duplicate_in_another_process_is_told_when_to_come_again(service: Service) -> None:
    service.deeds.act = gate = Gate()
    first = asyncio.create_task(service.post("k"))
    await until(gate.is_reached)

    early = await post(service.channels[1], "k")
    gate.is_open.set()
    answered = await first
    late = await post(service.channels[1], "k")

    assert (early.status, early.headers["retry-after"], early.is_replay) == (409, "1", False)
    assert (late.status, late.body, late.is_replay) == (200, answered.body, True)


async def come_again(service: Service) -> Answer:
    """Sends a request to another process until it is answered, for less than a lock lasts."""
    async with asyncio.timeout(LEASE_SECONDS - 2):
        while (answer := await post(service.channels[1], "k")).status == 409:
            assert int(answer.headers["retry-after"]) > 0
        return answer


async def test_a_caller_who_hangs_up_can_come_again_at_once(service: Service) -> None:
    service.deeds.act = gate = Gate()
    first = asyncio.create_task(service.post("k"))
    await until(gate.is_reached)
    first.cancel()
    await until(gate.is_left)
    service.deeds.succeed()

    answer = await come_again(service)

    assert (answer.status, answer.is_replay) == (200, False)
    [before, after] = service.deeds.reservations
    assert before
    assert after
    assert (after.ulid, after.is_repeated) == (before.ulid, True)


async def test_a_caller_who_hangs_up_before_anything_runs_leaves_no_lock(
    service: Service,
) -> None:
    lines: list[CallLine] = []
    with lines_sent_to(lines.append):
        async with service.pool.connection() as connection, connection.transaction():
            await connection.execute("LOCK TABLE idempotency")
            first = asyncio.create_task(service.post("k"))
            await _until_found(service, "SELECT pid FROM pg_locks WHERE NOT granted")
            first.cancel()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not lines:  # noqa: ASYNC110  the server tells nobody else
                    await asyncio.sleep(0.01)

    answer = await come_again(service)

    assert answer.status == 200
    assert len(service.deeds.reservations) == 1


async def _until_found(service: Service, query: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await service.sql(query):  # noqa: ASYNC110  the database rings no bell
            await asyncio.sleep(0.01)


async def test_who_takes_over_is_not_overruled_by_one_who_wakes_up_late(service: Service) -> None:
    service.deeds.act = gate = Gate()
    first = asyncio.create_task(service.post("k"))
    await until(gate.is_reached)
    await service.sql(LOCK_ENDED)
    service.deeds.succeed()

    taken_over = await post(service.channels[1], "k")
    gate.is_open.set()
    late = await first
    again = await service.post("k")

    assert (taken_over.status, late.status) == (200, 409)
    assert (again.body, again.is_replay) == (taken_over.body, True)
    assert len({each.ulid for each in service.deeds.reservations if each}) == 1


async def test_a_key_is_new_after_a_day(service: Service) -> None:
    first = await service.post("k")
    [kept] = await service.sql("SELECT expires_at - created_at AS kept FROM idempotency")
    await service.sql("UPDATE idempotency SET created_at = now() - interval '1 day', expires_at = now()")

    other = await service.post("k", model="pro")
    again = await service.post("k", model="pro")

    assert kept["kept"].total_seconds() == 24 * 3600
    assert (other.status, other.is_replay) == (200, False)
    assert other.body != first.body
    assert (again.body, again.is_replay) == (other.body, True)
    assert [each and each.is_repeated for each in service.deeds.reservations] == [False, False]


async def test_what_has_expired_is_deleted_in_batches_and_nothing_else(service: Service) -> None:
    keys = SqlIdempotencyKeys(service.pool)
    for number in range(6):
        await service.post(f"k{number}")
    await service.sql("UPDATE idempotency SET expires_at = now() WHERE key <> 'k5'")
    await service.sql("UPDATE idempotency SET locked_until = now() + interval '1 minute' WHERE key = 'k4'")

    counts = [await keys.forget_expired(keys_max=3) for _ in range(3)]

    assert counts == [3, 1, 0]
    left = await service.sql("SELECT key FROM idempotency ORDER BY key")
    assert [row["key"] for row in left] == ["k4", "k5"]


async def test_many_keys_at_once_in_two_processes_never_wait_for_each_other_in_vain(service: Service) -> None:
    async def call(channel: grpc.aio.Channel, number: int) -> Answer:
        while (answer := await post(channel, f"k{number}")).status == 409:  # noqa: ASYNC110  polling is the way
            await asyncio.sleep(0.01)
        return answer

    numbers = range(100)
    answers = await asyncio.gather(
        *(call(channel, number) for number in numbers for channel in service.channels)
    )

    assert {each.status for each in answers} == {200}
    assert len({each.body for each in answers}) == len(numbers)
    assert len(service.deeds.reservations) == len(numbers)
