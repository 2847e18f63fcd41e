"""The NextAPI contract's methods as its customers call them: real gRPC, all middleware, real PostgreSQL."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from reelgate.nextapi.v1.job_service_pb2 import CreateJobRequest

from services.common.clock import rfc3339, utc_now
from services.common.postgres.database import Pool
from services.jobs.convert.events import render_event
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Output
from services.jobs.domain.states import Status
from tests.integration.jobs.api import Api, Refusal, running_api
from tests.integration.jobs.conftest import a_candidate

BODY = {"model": "seedance-2.0-mini", "prompt": "waves"}
SECOND = timedelta(seconds=1)


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool) as running:
        yield running


async def refusal(api: Api, method: str, fields: Any, *, key: str | None) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await api.call(method, fields, key=key)
    return refused.value


def add_key(api: Api, **rules: Any) -> str:
    return api.add_key(contract="nextapi", **rules)


async def created_ids(api: Api, key: str, count: int) -> list[str]:
    """Creates jobs and returns their ids, newest first."""
    found = [(await api.call("Job.CreateJob", BODY, key=key))["id"] for _ in range(count)]
    return found[::-1]


async def test_a_created_job_is_answered_held_and_due(api: Api) -> None:
    key = add_key(api)
    fields = {
        **BODY,
        "model": "seedance-2.0-pro",
        "duration_seconds": 6,
        "resolution": "1080p",
        "webhook_url": "https://customer.example/hook",
    }

    answer = await api.call("Job.CreateJob", fields, key=key)

    assert answer == {"id": answer["id"], "status": "queued", "estimated_credits": 1.05}
    assert re.fullmatch(r"job_[0-9a-hjkmnp-tv-z]{26}", answer["id"])
    assert api.ledger.amount == {answer["id"]: 1_050_000}
    [claim] = await api.work.claim(limit=10, lease_seconds=60)
    assert (claim.job.id, claim.job.owner.contract) == (answer["id"], "nextapi")
    assert claim.job.callback_url == "https://customer.example/hook"


async def test_a_poll_shows_each_status_as_its_event_does(api: Api) -> None:
    key = add_key(api)
    api.moment = now = utc_now().replace(microsecond=0)
    job_id = (await api.call("Job.CreateJob", {**BODY, "metadata": {"n": 1}}, key=key))["id"]
    expected: dict[str, Any] = {
        "id": job_id,
        "status": "queued",
        "model": "seedance-2.0-mini",
        "progress": 0,
        "estimated_credits": 0.175,
        "created_at": rfc3339(now),
        "metadata": {"n": 1},
    }

    async def poll() -> Any:
        return await api.call("Job.GetJob", {"id": job_id}, key=key)

    assert await poll() == expected
    [claim] = await api.work.claim(limit=1, lease_seconds=60)
    claim = await api.work.open_attempt(claim, candidates=(a_candidate(),), token="t")
    await api.work.adopt_task(claim, task_id="cgt-1", seconds=0, event=None)
    assert await poll() == expected
    [claim] = await api.work.claim(limit=1, lease_seconds=60)
    claim = await api.work.note_running(claim, started_at=now, event=None)
    expected |= {"status": "running", "started_at": rfc3339(now), "progress": 1}
    assert await poll() == expected
    api.moment = now + 60 * SECOND
    assert 1 < (await poll())["progress"] < 96
    output = Output(video_url="v", thumbnail_url="t", last_frame_url=None, duration_seconds=5.0)
    claim = await api.work.keep_output(claim, output, started_at=now + SECOND, event=None)
    assert (await poll())["status"] == "running"
    ended_at = now + 61 * SECOND
    ended = replace(claim.job, status=Status.COMPLETED, charged_micros=175_000, ended_at=ended_at)
    await api.work.finish(claim, ended, event=render_event(claim.job, ended, ended_at))

    assert await poll() == {
        **expected,
        "status": "succeeded",
        "progress": 100,
        "completed_at": rfc3339(ended_at),
        "credits": 0.175,
        "video_url": "v",
        "thumbnail_url": "t",
    }


async def test_a_failed_job_says_why_and_costs_nothing(api: Api) -> None:
    key = add_key(api)
    [job_id] = await created_ids(api, key, 1)
    [claim] = await api.work.claim(limit=1, lease_seconds=60)
    claim = await api.work.give_up(claim, failure=FailureCode.TIMEOUT, detail="secret of the provider")
    ended = replace(claim.job, status=Status.FAILED, refunded_micros=175_000, ended_at=utc_now())
    await api.work.finish(claim, ended, event=None)

    answer = await api.call("Job.GetJob", {"id": job_id}, key=key)

    assert (answer["status"], answer["progress"], answer["credits"]) == ("failed", 0, 0)
    assert answer["error"] == {
        "code": "timeout",
        "message": "The video was not ready in time. Please try again.",
    }
    assert "started_at" not in answer


async def test_pages_by_offset_hold_every_job_once_and_newest_first(api: Api) -> None:
    key = add_key(api)
    ids = await created_ids(api, key, 5)

    pages = [
        await api.call("Job.ListJobs", {"limit": 2, "offset": offset}, key=key) for offset in (0, 2, 4, 6)
    ]

    assert [[job["id"] for job in page["data"]] for page in pages] == [ids[:2], ids[2:4], ids[4:], []]
    assert [page["has_more"] for page in pages] == [True, True, False, False]
    assert [(page["limit"], page["offset"]) for page in pages] == [(2, 0), (2, 2), (2, 4), (2, 6)]


async def test_a_list_is_empty_and_of_twenty_unless_it_is_asked_otherwise(api: Api) -> None:
    key = add_key(api)
    await api.call("Job.CreateJob", BODY, key=add_key(api, account_id="acct_2"))

    listed = await api.call("Job.ListJobs", {}, key=key)

    assert listed == {"data": [], "limit": 20, "offset": 0, "has_more": False}


@pytest.mark.parametrize(
    ("method", "fields", "message"),
    [
        ("Job.ListJobs", {"limit": 0}, "Field limit must be greater than or equal to 1"),
        ("Job.ListJobs", {"limit": 101}, "Field limit must be"),
        ("Job.ListJobs", {"offset": -1}, "Field offset must be greater than or equal to 0"),
        ("Job.ListJobs", {"offset": 10_001}, "Field offset must be"),
        ("Job.CreateJob", {"model": "seedance-2.0-pro"}, "Field prompt is required and must not be empty."),
        ("Job.CreateJob", {**BODY, "duration_seconds": 3}, "Field duration_seconds must be"),
        ("Job.CreateJob", {**BODY, "resolution": "4k"}, "Field resolution must be one of"),
        (
            "Job.CreateJob",
            {**BODY, "resolution": "1080p"},
            'Field resolution must be one of 480p, 720p for model seedance-2.0-mini. It was "1080p".',
        ),
        ("Job.CreateJob", {**BODY, "webhook_url": "http://127.0.0.1/"}, "Field webhook_url "),
    ],
)
async def test_a_refusal_names_the_field_in_this_contracts_envelope(
    api: Api, method: str, fields: dict[str, Any], message: str
) -> None:
    refused = await refusal(api, method, fields, key=add_key(api))

    assert refused.http_status == 400
    assert refused.message.startswith(message)
    assert refused.envelope == {"error": {"code": "invalid_request", "message": refused.message}}
    assert api.ledger.amount == {}


async def test_what_an_account_can_not_afford_is_refused_in_this_contracts_envelope(api: Api) -> None:
    key = add_key(api)
    api.ledger.available_micros["acct_1", "live"] = 174_999

    refused = await refusal(api, "Job.CreateJob", BODY, key=key)

    assert (refused.http_status, refused.envelope["error"]["code"]) == (402, "insufficient_credits")
    assert set(refused.envelope["error"]) == {"code", "message"}


async def test_neither_contract_sees_the_others_models(api: Api) -> None:
    nextapi, seedancee2 = add_key(api), api.add_key()

    from_other = await refusal(api, "Job.CreateJob", {**BODY, "model": "mini"}, key=nextapi)
    body = {"model": "seedance-2.0-mini", "input": {"prompt": "waves"}}
    to_other = await refusal(api, "Video.CreateVideo", body, key=seedancee2)
    listed = await api.call("Models.ListModels", {}, key=seedancee2)

    assert (from_other.http_status, from_other.envelope["error"]["code"]) == (404, "not_found")
    assert (to_other.http_status, to_other.envelope["error"]["code"]) == (404, "model_not_found")
    assert [model["id"] for model in listed["data"]] == ["pro", "fast", "mini"]


@pytest.mark.parametrize("method", ["Job.CreateJob", "Job.GetJob", "Job.ListJobs"])
async def test_a_key_of_the_other_contract_is_refused_in_this_contracts_envelope(
    api: Api, method: str
) -> None:
    for key in (api.add_key(), None, "nxa_live_sk_nonsense"):
        refused = await refusal(api, method, {}, key=key)

        assert refused.http_status == 401
        assert refused.envelope == {
            "error": {"code": "unauthorized", "message": "API key is missing, invalid, or disabled."}
        }


async def test_a_key_of_this_contract_is_refused_by_the_other_in_its_envelope(api: Api) -> None:
    refused = await refusal(api, "Video.ListVideos", {}, key=add_key(api))

    assert (refused.http_status, refused.envelope["error"]["code"]) == (401, "invalid_api_key")
    assert refused.envelope["error"]["type"] == "authentication_error"


async def test_other_peoples_jobs_and_other_ids_are_not_found(api: Api) -> None:
    key = add_key(api)
    [other] = await created_ids(api, add_key(api, account_id="acct_2"), 1)
    [of_test] = await created_ids(api, add_key(api, environment="test"), 1)

    for job_id in (other, of_test, other.replace("job_", "vid_"), "job_1", "../etc"):
        refused = await refusal(api, "Job.GetJob", {"id": job_id}, key=key)

        assert (refused.http_status, refused.envelope["error"]["code"]) == (404, "not_found")


async def test_an_unknown_field_is_refused_over_grpc(api: Api) -> None:
    known = CreateJobRequest(model="seedance-2.0-mini", prompt="waves").SerializeToString()
    request = CreateJobRequest.FromString(known + b"\xa2\x3e\x01x")

    refused = await refusal(api, "Job.CreateJob", request, key=add_key(api))

    assert refused.message.startswith(
        "Field number 996 of the request is not known. Remove it. Fields of this request: model, "
    )
