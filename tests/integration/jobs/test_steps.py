"""Every step on the real work table: what it leaves, run twice, and after a crash between its call and its commit."""

from typing import Any

import pytest

from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim, LeaseLostError
from services.jobs.domain.states import State, Status
from services.jobs.ports import ResultRejectedError, ResultUnavailableError
from services.jobs.timing import RENDER_DEADLINE_SECONDS
from services.upstream.provider import (
    TASK_SECONDS_MAX,
    BrokenCause,
    BrokenError,
    BusyError,
    Pending,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
)
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.world import World, open_world, said


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    return await open_world(jobs_pool, a_job())


async def test_an_attempt_is_on_record_before_the_provider_is_asked(world: World) -> None:
    await world.begin(await world.claim())

    assert world.provider.orders == []
    assert await world.state() == "submitting"
    assert world.ledger.state == {a_job().id: "confirmed"}


async def test_a_hold_outlives_whatever_a_provider_may_do(world: World) -> None:
    await world.begin(await world.claim())

    assert world.ledger.lasts_seconds[a_job().id] > RENDER_DEADLINE_SECONDS > TASK_SECONDS_MAX


async def test_a_submitted_job_is_processing_with_the_providers_task(world: World) -> None:
    await world.submitted()

    assert await world.state() == "processing"
    assert (await world.job()).status is Status.PROCESSING
    assert (await world.sql("SELECT task_id FROM attempts"))[0]["task_id"] == "task-1"


async def test_the_provider_is_sent_the_resolved_input(world: World) -> None:
    await world.submitted()

    [order] = world.provider.orders
    assert (order.model, order.prompt, order.seed, order.image_urls) == (
        "m",
        a_job().input.prompt,
        a_job().input.seed,
        a_job().input.image_urls,
    )


async def test_only_the_lease_that_opened_an_attempt_may_submit_it(world: World) -> None:
    await world.begin(await world.claim())
    later = await world.claim()

    with pytest.raises(AssertionError):
        await world.submit(later)


async def test_a_task_started_before_a_crash_is_adopted_not_started_again(world: World) -> None:
    claim = await world.begin(await world.claim())
    assert claim.attempt is not None
    await world.provider.submit(
        _order(claim), correlation_id=claim.attempt.id, callback_url=None, timeout_seconds=1
    )

    await world.recover(await world.claim())

    assert await world.state() == "processing"
    assert len(world.provider.orders) == 1


async def test_a_task_named_by_a_callback_is_adopted_once_the_provider_confirms_it(world: World) -> None:
    claim = await world.begin(await world.claim())
    assert claim.attempt is not None
    world.provider.tasks[claim.attempt.id] = "task-9"
    await world.work.wake(claim.attempt.token, said("task-9"))

    await world.recover(await world.claim())

    assert (await world.sql("SELECT task_id FROM attempts"))[0]["task_id"] == "task-9"


@pytest.mark.parametrize("own_task", [None, "task-9"])
async def test_a_callback_that_names_somebody_elses_task_is_not_believed(
    world: World, own_task: str | None
) -> None:
    claim = await world.begin(await world.claim())
    assert claim.attempt is not None
    world.provider.tasks["att_of_another"] = "task-1"
    if own_task is not None:
        world.provider.tasks[claim.attempt.id] = own_task
    await world.work.wake(claim.attempt.token, said("task-1"))

    await world.recover(await world.claim())

    assert (await world.sql("SELECT task_id FROM attempts"))[0]["task_id"] == own_task


async def test_a_callback_is_not_believed_while_the_provider_does_not_answer(world: World) -> None:
    claim = await world.begin(await world.claim())
    assert claim.attempt is not None
    world.provider.tasks[claim.attempt.id] = "task-9"
    world.provider.find_error = UnreachableError("down")
    await world.work.wake(claim.attempt.token, said("task-9"))

    await world.recover(await world.claim())

    assert await world.state() == "submitting"


async def test_a_young_attempt_without_a_task_is_looked_for_again(world: World) -> None:
    await world.begin(await world.claim())

    await world.recover(await world.claim())

    assert await world.state() == "submitting"


async def test_an_old_attempt_without_a_task_goes_back_and_is_submitted_anew(world: World) -> None:
    await world.begin(await world.claim())
    await world.sql("UPDATE attempts SET opened_at = now() - interval '31 seconds'")
    await world.recover(await world.claim())
    before = await world.state()

    await world.submitted()

    assert before == "pending"
    assert await world.state() == "processing"
    outcomes = [row["outcome"] for row in await world.sql("SELECT outcome FROM attempts ORDER BY number")]
    assert outcomes == ["lost", None]


async def test_a_lost_answer_leaves_the_attempt_to_be_looked_for(world: World) -> None:
    world.provider.submit_error = UnknownError("reset")
    world.provider.loses_answers = True
    await world.submitted()
    before = await world.state()

    await world.recover(await world.claim())

    assert before == "submitting"
    assert await world.state() == "processing"
    assert len(world.provider.orders) == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (BusyError("queue full", retry_after_seconds=3), "busy"),
        (UnreachableError("no route"), "unreachable"),
        (BrokenError("bad key", cause=BrokenCause.CREDENTIAL), "broken"),
    ],
)
async def test_what_surely_started_nothing_is_tried_again_later(
    world: World, error: Exception, outcome: str
) -> None:
    world.provider.submit_error = error
    await world.submitted()

    assert await world.state() == "pending"
    assert (await world.sql("SELECT outcome FROM attempts"))[0]["outcome"] == outcome
    assert await world.begin_if_there_is_room(await world.claim()) is None
    [due] = await world.sql("SELECT due_at > now() AS later FROM work")
    assert due["later"]


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        (RefusalKind.CONTENT, "content_policy_violation"),
        (RefusalKind.INPUT_MEDIA, "input_media_error"),
        (RefusalKind.PARAMETERS, "generation_failed"),
    ],
)
async def test_a_refused_order_fails_the_job_and_gives_everything_back(
    world: World, kind: RefusalKind, failure: str
) -> None:
    world.provider.submit_error = RefusedError(Refused(kind=kind, detail="no"))
    held = await world.submit(await world.begin(await world.claim()))
    assert held is not None

    await world.refund(held)

    job = await world.job()
    assert (job.status, job.failure) == (Status.FAILED, failure)
    assert (job.charged_micros, job.refunded_micros) == (0, job.reserved_micros)
    assert world.ledger.state == {job.id: "released"}
    [event] = await world.sql("SELECT type FROM outbox")
    assert event["type"] == "video.generation.failed"


async def test_a_job_that_waited_too_long_to_start_fails_by_timeout(world: World) -> None:
    await world.sql("UPDATE work SET admitted_at = admitted_at - interval '7 hours'")

    await world.refund(await world.begin(await world.claim()))

    assert (await world.job()).failure == "timeout"


async def test_a_job_whose_hold_expired_fails_and_is_not_sent_anywhere(world: World) -> None:
    world.ledger.state[a_job().id] = "expired"

    await world.refund(await world.begin(await world.claim()))

    assert (await world.job()).status is Status.FAILED
    assert world.provider.orders == []


@pytest.mark.parametrize("answer", [Pending(running=True), UnreachableError("garbage"), BusyError("429")])
async def test_no_result_yet_is_asked_for_again_ever_less_often(world: World, answer: Any) -> None:
    world.provider.answers = [answer]
    await world.submitted()

    await world.check(await world.claim())
    await world.check(await world.claim())

    [row] = await world.sql("SELECT check_count, due_at > now() + interval '3 seconds' AS later FROM work")
    assert (row["check_count"], row["later"]) == (2, True)
    assert (await world.job()).status is Status.PROCESSING


async def test_a_silent_provider_does_not_fail_a_job_before_the_last_deadline(world: World) -> None:
    world.provider.answers = [UnreachableError("down")]
    await world.submitted()
    await world.sql("UPDATE attempts SET opened_at = now() - interval '72 hours'")
    early = await world.check(await world.claim())
    await world.sql("UPDATE attempts SET opened_at = now() - interval '74 hours'")

    late = await world.check(await world.claim())

    assert early is None
    assert late is not None
    assert late.state is State.FAILING


async def test_a_result_is_stored_before_credits_are_taken(world: World) -> None:
    await world.submitted()
    claim = await world.check(await world.claim())

    assert claim is not None
    assert claim.state is State.STORED
    assert world.ledger.state == {a_job().id: "confirmed"}
    assert (await world.job()).output is not None


async def test_a_result_that_cannot_be_fetched_now_is_fetched_later(world: World) -> None:
    await world.submitted()
    world.media.error = ResultUnavailableError("timeout")

    left = await world.check(await world.claim())

    assert left is None
    assert await world.state() == "processing"


async def test_a_result_that_is_no_video_fails_the_job(world: World) -> None:
    await world.submitted()
    world.media.error = ResultRejectedError("text/html")

    claim = await world.check(await world.claim())

    assert claim is not None
    assert claim.state is State.FAILING


async def test_a_completed_job_is_charged_once_and_told_once(world: World) -> None:
    await world.submitted()
    claim = await world.check(await world.claim())
    assert claim is not None

    await world.complete(claim)
    with pytest.raises(LeaseLostError):
        await world.complete(claim)

    job = await world.job()
    assert (job.status, job.charged_micros) == (Status.COMPLETED, job.reserved_micros)
    assert world.ledger.captured == {job.id: job.reserved_micros}
    assert len(await world.sql("SELECT * FROM outbox")) == 1
    assert await world.state() is None


async def test_a_crash_between_capture_and_commit_charges_once(world: World) -> None:
    await world.submitted()
    claim = await world.check(await world.claim())
    assert claim is not None
    await world.ledger.capture(a_job().id, amount_micros=claim.job.reserved_micros)

    await world.complete(await world.claim())

    assert world.ledger.captured == {a_job().id: a_job().reserved_micros}
    assert (await world.job()).status is Status.COMPLETED


async def test_a_shorter_clip_is_charged_by_what_was_delivered(world: World) -> None:
    world.media.duration_seconds = 3.2
    await world.submitted()
    claim = await world.check(await world.claim())
    assert claim is not None

    await world.complete(claim)

    job = await world.job()
    assert (job.charged_micros, job.refunded_micros) == (30_000_000, 20_000_000)
    assert world.ledger.captured == {job.id: 30_000_000}


@pytest.mark.parametrize("gone", ["expired", "released"])
async def test_a_stored_result_without_a_hold_is_not_charged_and_fails_by_timeout(
    world: World, gone: str
) -> None:
    await world.submitted()
    claim = await world.check(await world.claim())
    assert claim is not None
    world.ledger.state[a_job().id] = gone

    failing = await world.complete(claim)
    assert failing is not None
    await world.refund(failing)

    job = await world.job()
    assert (job.status, job.failure, job.charged_micros) == (Status.FAILED, "timeout", 0)
    assert (job.refunded_micros, world.ledger.captured) == (job.reserved_micros, {})
    [attempt] = await world.sql("SELECT outcome FROM attempts")
    assert attempt["outcome"] == "succeeded"
    [event] = await world.sql("SELECT type FROM outbox")
    assert event["type"] == "video.generation.failed"
    assert await world.state() is None


async def test_a_crash_between_release_and_commit_refunds_once(world: World) -> None:
    world.provider.submit_error = RefusedError(Refused(kind=RefusalKind.CONTENT))
    await world.submit(await world.begin(await world.claim()))
    await world.ledger.release(a_job().id)

    await world.refund(await world.claim())

    assert (await world.job()).refunded_micros == a_job().reserved_micros


async def test_two_workers_with_one_job_complete_it_once(world: World) -> None:
    await world.submitted()
    stale = await world.check(await world.claim())
    assert stale is not None
    fresh = await world.claim()

    with pytest.raises(LeaseLostError):
        await world.complete(stale)
    await world.complete(fresh)

    assert len(await world.sql("SELECT * FROM outbox")) == 1
    assert (await world.sql("SELECT completed_jobs FROM usage_daily"))[0]["completed_jobs"] == 1


async def test_a_walk_takes_a_job_as_far_as_it_goes_and_lets_it_go(world: World) -> None:
    walker = world.walker()

    assert await walker.claim_once() == 1
    await walker.drain()
    assert await world.state() == "processing"
    await world.sql("UPDATE work SET due_at = now()")
    await walker.claim_once()
    await walker.drain()

    assert (await world.job()).status is Status.COMPLETED


async def test_an_outage_of_billing_postpones_a_job_and_never_fails_it(world: World) -> None:
    world.ledger.outage = ServiceError(Reason.UNAVAILABLE, "billing is down")
    walker = world.walker()

    await walker.claim_once()
    await walker.drain()

    assert await world.state() == "pending"
    [row] = await world.sql("SELECT lease_until < now() AS free, due_at > now() AS later FROM work")
    assert (row["free"], row["later"]) == (True, True)


async def test_a_step_that_breaks_unexpectedly_lets_the_job_go(world: World) -> None:
    world.provider.submit_error = ZeroDivisionError()
    walker = world.walker()

    await walker.claim_once()
    await walker.drain()

    assert await world.state() == "submitting"
    assert (await world.sql("SELECT lease_until < now() AS free FROM work"))[0]["free"]


def _order(claim: Claim) -> Any:
    from services.jobs.steps.submit import order_of

    assert claim.attempt is not None
    return order_of(claim.job, claim.attempt, {})
