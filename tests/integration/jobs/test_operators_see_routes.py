"""Operators see how routes and credentials do and every attempt at a job, and take routes out of use."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from reelgate.admin.v1 import job_admin_service_pb2, route_admin_service_pb2

from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool
from services.common.telemetry.readings import reading
from services.jobs.domain.claims import Blame, Claim, Fault
from services.jobs.domain.failures import FailureCode
from services.jobs.store.readings import READINGS
from tests.integration.jobs.conftest import a_candidate, a_job, store_jobs
from tests.integration.jobs.desk import JOB_ID, NOTE, OUTPUT, Desk, open_desk
from tests.metric_values import value
from tests.patience import PATIENCE_SECONDS
from tests.unit.jobs.samples import CATALOGUE

ROUTE = "ark-mini"
READY, DISABLED, OPEN, PROBING, WITHOUT = range(1, 6)
LATE = {"timeout": PATIENCE_SECONDS}


@pytest.fixture
async def desk(jobs_pool: Pool) -> AsyncIterator[Desk]:
    async with open_desk(jobs_pool) as opened:
        yield opened


async def begun(desk: Desk, number: int = 1) -> Claim:
    await store_jobs(desk.pool, a_job(number))
    [claim] = await desk.work.claim(limit=1, lease_seconds=600)
    candidate = a_candidate(ROUTE, credential="ark")
    return await desk.work.open_attempt(claim, candidates=(candidate,), token=f"token-{number}")


async def rendered(desk: Desk, number: int) -> None:
    await desk.work.adopt_task(await begun(desk, number), task_id="cgt-1", seconds=0, event=None)
    [claim] = await desk.work.claim(limit=1, lease_seconds=600)
    await desk.work.keep_output(claim, OUTPUT, started_at=claim.job.created_at, event=None)


async def route(desk: Desk) -> Any:
    listed = await desk.routes.ListRoutes(route_admin_service_pb2.ListRoutesRequest(), **LATE)
    assert [each.name for each in listed.routes] == sorted({"simulator", *CATALOGUE.routes})
    return next(each for each in listed.routes if each.name == ROUTE)


async def credential(desk: Desk) -> Any:
    listed = await desk.routes.ListCredentials(route_admin_service_pb2.ListCredentialsRequest(), **LATE)
    [found] = listed.credentials
    return found


async def test_a_route_shows_how_it_did_in_the_last_hour(desk: Desk) -> None:
    await rendered(desk, 1)
    await rendered(desk, 2)
    await desk.sql(
        "UPDATE attempts SET submitted_at = opened_at + interval '2 s', rendered_at = opened_at + interval '42 s'"
    )
    refused = await begun(desk, 3)
    await desk.work.give_up(
        refused, failure=FailureCode.CONTENT_POLICY_VIOLATION, detail="no", failure_class="content"
    )
    failed = await begun(desk, 4)
    blame = Blame(fault=Fault.ORDER)
    await desk.work.drop_attempt(failed, outcome="unreachable", detail="no", seconds=60, blame=blame)
    await desk.sql("UPDATE work SET due_at = 'infinity'")
    await begun(desk, 5)
    await rendered(desk, 6)
    await desk.sql("UPDATE attempts SET opened_at = now() - interval '2 h' WHERE job_id LIKE '%6'")

    shown = await route(desk)

    assert (shown.state, shown.in_flight, shown.judged, shown.succeeded) == (READY, 1, 3, 2)
    assert (shown.submit_p50_seconds, shown.submit_p95_seconds) == (2, 2)
    assert (shown.render_p50_seconds, shown.render_p95_seconds) == (40, 40)
    assert shown.last_error_class == "unreachable"
    assert shown.last_error_at


async def test_a_route_says_why_it_gets_no_jobs(desk: Desk) -> None:
    assert (await route(desk)).state == READY
    await desk.sql(
        f"INSERT INTO route_states (name, opened_until) VALUES ('{ROUTE}', now() + interval '1 min')"
    )
    assert (await route(desk)).state == OPEN
    assert (await route(desk)).opened_until
    await desk.sql("UPDATE route_states SET opened_until = now()")
    assert (await route(desk)).state == PROBING
    await desk.sql(
        "INSERT INTO credential_states (name, out_key_name, out_reason) VALUES ('ark', 'main', 'quota')"
    )
    assert (await route(desk)).state == WITHOUT
    await desk.sql("UPDATE route_states SET is_disabled = true")
    assert (await route(desk)).state == DISABLED


async def test_a_route_is_disabled_and_enabled_with_an_audit_entry(desk: Desk) -> None:
    request = route_admin_service_pb2.DisableRouteRequest(name=ROUTE, audit=NOTE)
    await desk.routes.DisableRoute(request, **LATE)
    assert (await route(desk)).state == DISABLED
    await desk.sql("UPDATE route_states SET opened_until = now() + interval '1 h', failures = 9")

    await desk.routes.EnableRoute(route_admin_service_pb2.EnableRouteRequest(name=ROUTE, audit=NOTE), **LATE)

    assert (await route(desk)).state == READY
    [latest, before] = await desk.entries()
    assert [latest.action, before.action] == ["route.enable", "route.disable"]
    assert (latest.subject_id, latest.actor, latest.reason) == (ROUTE, NOTE.actor, NOTE.reason)
    assert desk.notified, "jobs that wait for it go on"


async def test_a_credential_is_out_until_it_is_enabled_or_gets_another_key(desk: Desk) -> None:
    await desk.sql(
        "INSERT INTO credential_states (name, out_key_name, out_reason, out_since)"
        " VALUES ('ark', 'main', 'credential', now())"
    )
    out = await credential(desk)
    assert (out.name, out.key_in_use, out.out_reason) == ("ark", "main", "credential")
    assert out.out_since

    request = route_admin_service_pb2.EnableCredentialRequest(name="ark", audit=NOTE)
    await desk.routes.EnableCredential(request, **LATE)

    back = await credential(desk)
    assert not back.HasField("out_reason")
    rotate = route_admin_service_pb2.RotateCredentialRequest(name="ark", key="main", audit=NOTE)
    await desk.routes.RotateCredential(rotate, **LATE)
    assert await desk.sql("SELECT key_name FROM credential_states") == [{"key_name": "main"}]
    assert await desk.actions() == ["credential.rotate", "credential.enable"]


async def test_a_credential_that_is_out_is_a_metric_until_it_is_back(desk: Desk) -> None:
    duty = reading(desk.pool, READINGS, service="jobs")
    claim = await begun(desk)
    assert claim.attempt is not None
    await desk.work.take_out(claim.attempt, reason="quota")
    await duty.run_once()
    assert value("reelgate_credential_out", credential="ark", reason="quota") == 1

    request = route_admin_service_pb2.EnableCredentialRequest(name="ark", audit=NOTE)
    await desk.routes.EnableCredential(request, **LATE)
    await duty.run_once()

    assert value("reelgate_credential_out", credential="ark", reason="quota") == 0


@pytest.mark.parametrize(
    ("method", "request_", "said"),
    [
        ("DisableRoute", route_admin_service_pb2.DisableRouteRequest(name="nowhere"), 'no route "nowhere"'),
        ("EnableRoute", route_admin_service_pb2.EnableRouteRequest(name="nowhere"), "There are: ark-fast,"),
        (
            "EnableCredential",
            route_admin_service_pb2.EnableCredentialRequest(name="nobody"),
            "There are: ark.",
        ),
        (
            "RotateCredential",
            route_admin_service_pb2.RotateCredentialRequest(name="ark", key="old"),
            'no key of credential ark "old". There are: main.',
        ),
    ],
)
async def test_a_name_that_is_not_in_the_catalogue_is_refused_and_changes_nothing(
    desk: Desk, method: str, request_: Any, said: str
) -> None:
    request_.audit.CopyFrom(NOTE)

    with pytest.raises(ServiceError, match=said) as refusal:
        await getattr(desk.routes, method)(request_, **LATE)

    assert refusal.value.reason is Reason.INVALID_FIELD
    assert await desk.actions() == []


async def test_a_job_shows_every_attempt_its_reason_and_its_cost(desk: Desk) -> None:
    first = await begun(desk)
    await desk.work.drop_attempt(first, outcome="busy", detail="queue full", seconds=0)
    [claim] = await desk.work.claim(limit=1, lease_seconds=600)
    second = await desk.work.open_attempt(claim, candidates=(a_candidate("other"),), token="other")
    await desk.work.adopt_task(second, task_id="cgt-7", seconds=0, event=None)
    [claim] = await desk.work.claim(limit=1, lease_seconds=600)
    await desk.work.keep_output(claim, OUTPUT, started_at=claim.job.created_at, event=None)

    shown = await desk.jobs.ShowJob(job_admin_service_pb2.ShowJobRequest(job_id=JOB_ID), **LATE)

    assert (shown.job_id, shown.status, shown.state) == (
        JOB_ID,
        "processing",
        job_admin_service_pb2.JOB_STATE_STORED,
    )
    busy, done = shown.attempts
    assert (busy.route, busy.credential, busy.key_name, busy.outcome) == (ROUTE, "ark", "main", "busy")
    assert (busy.failure_class, busy.detail) == ("busy", "queue full")
    assert not busy.HasField("cost_usd_millionths")
    assert not busy.HasField("task_id")
    assert (done.number, done.route, done.task_id, done.outcome) == (2, "other", "cgt-7", "succeeded")
    assert done.cost_usd_millionths == a_candidate().quoted_micros
    assert done.opened_at <= done.submitted_at <= done.rendered_at


async def test_a_job_that_there_is_not_shows_nothing(desk: Desk) -> None:
    with pytest.raises(ServiceError) as refusal:
        await desk.jobs.ShowJob(job_admin_service_pb2.ShowJobRequest(job_id="vid_none"), **LATE)

    assert refusal.value.reason is Reason.JOB_NOT_FOUND
