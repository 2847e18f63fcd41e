"""A route that fails is left alone and tried again by one job; a credential that is refused is out until somebody acts."""

import pytest

from services.common.postgres.database import Pool
from services.jobs.domain.claims import Blame, Claim, Fault
from services.jobs.store.queue.blame import FAILURES_MAX
from services.jobs.store.queue.work import SqlWork
from tests.integration.jobs.room import Room, limited

ORDER = Blame(fault=Fault.ORDER)
BOTH = (limited("first"), limited("second"))
ONLY = limited("first")


@pytest.fixture
def room(jobs_pool: Pool) -> Room:
    return Room(pool=jobs_pool, workers=(SqlWork(jobs_pool), SqlWork(jobs_pool)))


async def a_begun(room: Room, number: int, *candidates: object) -> Claim | None:
    await room.store(number)
    [claim] = await room.claims()
    return await room.begin(claim, *(candidates or BOTH))  # type: ignore[arg-type]


async def fail(room: Room, number: int, blame: Blame = ORDER) -> None:
    """Has the first route fail an order, and sets its job aside."""
    begun = await a_begun(room, number)
    assert begun is not None
    assert begun.attempt is not None
    assert begun.attempt.route == "first"
    await room.workers[0].drop_attempt(begun, outcome="unreachable", detail="", seconds=0, blame=blame)
    await room.sql("DELETE FROM work")


async def route_of(room: Room, number: int) -> str | None:
    begun = await a_begun(room, number)
    assert begun is not None
    assert begun.attempt is not None
    return begun.attempt.route


async def open_for(room: Room) -> int:
    [state] = await room.sql(
        "SELECT CAST(round(extract(epoch FROM opened_until - last_error_at)) AS int) AS seconds FROM route_states"
    )
    return int(state["seconds"])


async def test_a_route_that_fails_five_times_in_a_row_is_left_alone(room: Room) -> None:
    for number in range(1, FAILURES_MAX):
        await fail(room, number)
    assert await route_of(room, 20) == "first"
    await fail(room, FAILURES_MAX)

    assert await route_of(room, 21) == "second"
    assert await open_for(room) == 30


async def test_a_success_between_failures_begins_the_count_anew(room: Room) -> None:
    for number in range(1, FAILURES_MAX):
        await fail(room, number)
    begun = await a_begun(room, 20)
    assert begun is not None
    await room.workers[0].adopt_task(begun, task_id="cgt-1", seconds=99, event=None)
    await fail(room, FAILURES_MAX)

    assert await route_of(room, 21) == "first"


async def opened(room: Room) -> None:
    for number in range(1, FAILURES_MAX + 1):
        await fail(room, number)
    await room.sql("UPDATE route_states SET opened_until = now()")


async def test_one_job_tries_an_open_route_again_and_no_other_does_meanwhile(room: Room) -> None:
    await opened(room)
    await room.store(*range(20, 26))

    begun = await room.begin_all(await room.claims(), *BOTH)

    assert sorted(claim.attempt.route for claim in begun if claim.attempt) == ["first", *["second"] * 5]


async def test_a_route_is_trusted_again_once_the_trial_is_taken(room: Room) -> None:
    await opened(room)
    begun = await a_begun(room, 20)
    assert begun is not None
    await room.workers[0].adopt_task(begun, task_id="cgt-1", seconds=99, event=None)

    assert await route_of(room, 21) == "first"
    assert await route_of(room, 22) == "first"


async def test_a_trial_that_fails_leaves_the_route_alone_for_twice_as_long_up_to_ten_minutes(
    room: Room,
) -> None:
    await opened(room)
    found = []
    for number in range(20, 26):
        await fail(room, number)
        found.append(await open_for(room))
        await room.sql("UPDATE route_states SET opened_until = now()")

    assert found == [60, 120, 240, 480, 600, 600]


async def test_a_provider_that_takes_orders_and_renders_nothing_is_left_alone_too(room: Room) -> None:
    for number in range(1, FAILURES_MAX + 1):
        begun = await a_begun(room, number)
        assert begun is not None
        await room.workers[0].adopt_task(begun, task_id=f"cgt-{number}", seconds=0, event=None)
        [running] = await room.claims()
        blame = Blame(fault=Fault.RENDER)
        await room.workers[0].drop_attempt(running, outcome="unavailable", detail="", seconds=0, blame=blame)
        await room.sql("DELETE FROM work")

    assert await route_of(room, 20) == "second"
    assert await room.sql("SELECT FROM strays") == [], "what has ended is no stray"


async def test_a_model_that_is_not_there_closes_its_route_at_once(room: Room) -> None:
    await fail(room, 1, Blame(fault=Fault.ROUTE, failure_class="model"))

    assert await route_of(room, 20) == "second"


async def test_a_refused_key_takes_its_credential_out_for_all_workers(room: Room) -> None:
    await fail(room, 1, Blame(takes_out=True, failure_class="credential"))

    assert await route_of(room, 20) == "second"
    [state] = await room.sql(
        "SELECT out_key_name, out_reason, out_since IS NOT NULL AS since FROM credential_states"
    )
    assert state == {"out_key_name": "main", "out_reason": "credential", "since": True}


async def test_a_key_that_was_replaced_takes_nothing_out_any_more(room: Room) -> None:
    begun = await a_begun(room, 1)
    assert begun is not None
    await room.sql("INSERT INTO credential_states (name, key_name) VALUES ('first', 'new')")
    blame = Blame(takes_out=True, failure_class="credential")
    await room.workers[0].drop_attempt(begun, outcome="broken", detail="", seconds=0, blame=blame)
    await room.sql("DELETE FROM work")
    keys = ("main", "new")
    await room.store(20)
    [claim] = await room.claims()

    begun = await room.begin(claim, limited("first", keys=keys))

    assert begun is not None
    assert begun.attempt is not None
    assert begun.attempt.key_name == "new"


async def test_a_provider_that_asks_for_a_pause_gets_it_from_all_jobs(room: Room) -> None:
    await fail(room, 1, Blame(pause_seconds=20))

    assert await route_of(room, 20) == "second"


async def test_a_job_tries_other_routes_before_one_that_failed_it_and_waits_before_that(room: Room) -> None:
    begun = await a_begun(room, 1)
    assert begun is not None
    for _ in range(2):
        await room.workers[0].drop_attempt(begun, outcome="unreachable", detail="", seconds=30, blame=ORDER)
        [claim] = await room.claims()
        again = await room.begin(claim, *BOTH)
        begun = again or begun
    assert again is None, "both are to be left alone for a while"
    assert await room.routes() == ["first", "second"]
    [due] = await room.sql(
        "SELECT extract(epoch FROM due_at - now()) BETWEEN 1 AND 31 AS later, waits_for FROM work"
    )
    assert due == {"later": True, "waits_for": None}


async def test_a_disabled_route_gets_no_new_job_and_keeps_those_it_has(room: Room) -> None:
    begun = await a_begun(room, 1)
    assert begun is not None
    await room.workers[0].adopt_task(begun, task_id="cgt-1", seconds=0, event=None)
    await room.sql("INSERT INTO route_states (name, is_disabled) VALUES ('first', true)")

    [running] = await room.claims()
    assert running.attempt is not None
    assert (running.attempt.route, running.attempt.key_name) == ("first", "main")
    await room.sql("UPDATE work SET due_at = 'infinity'")
    assert await route_of(room, 20) == "second"
