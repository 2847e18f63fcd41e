"""The public methods as customers call them: real gRPC, all middleware, real PostgreSQL."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from reelgate.video.v1.video_pb2 import VideoInput
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest

from services.common.clock import rfc3339, utc_now
from services.common.postgres.database import Pool
from services.jobs.convert.events import render_event
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Output
from services.jobs.domain.states import Status
from tests.integration.jobs.api import RICH_MICROS, Api, Refusal, running_api
from tests.integration.jobs.conftest import a_candidate

PROMPT = {"prompt": "waves"}
BODY = {"model": "mini", "input": PROMPT}
METADATA = {"customer_job_id": "job_123", "nested": {"list": [1, 2.5, None, True, "x"]}}


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool) as running:
        yield running


async def refusal(api: Api, method: str, fields: Any, *, key: str | None) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await api.call(method, fields, key=key)
    return refused.value


async def test_a_created_video_is_answered_held_and_due(api: Api) -> None:
    key = api.add_key()

    answer = await api.call("Video.CreateVideo", {**BODY, "metadata": METADATA}, key=key)

    created = answer["data"]
    [claim] = await api.work.claim(limit=10, lease_seconds=60)
    assert answer == {
        "data": {
            "id": created["id"],
            "status": "pending",
            "model": "mini",
            "credits_reserved": 50,
            "created_at": created["created_at"],
        }
    }
    assert re.fullmatch(r"vid_[0-9a-z]{26}", created["id"])
    assert claim.job.id == created["id"]
    assert rfc3339(claim.job.created_at) == created["created_at"]
    assert api.ledger.amount == {created["id"]: 50_000_000}


async def test_a_poll_shows_each_status_as_its_webhook_does(api: Api) -> None:
    key = api.add_key()
    fields = {**BODY, "metadata": METADATA, "callback_url": "https://customer.example/hook"}
    base = (await api.call("Video.CreateVideo", fields, key=key))["data"]
    del base["credits_reserved"]
    expected = {**base, "metadata": METADATA}

    async def poll() -> Any:
        return (await api.call("Video.GetVideo", {"id": base["id"]}, key=key))["data"]

    assert await poll() == expected
    [claim] = await api.work.claim(limit=1, lease_seconds=60)
    claim = await api.work.open_attempt(claim, candidates=(a_candidate(),), token="t")
    assert await poll() == expected
    await api.work.adopt_task(claim, task_id="cgt-1", seconds=0, event=None)
    assert await poll() == {**expected, "status": "processing"}
    [claim] = await api.work.claim(limit=1, lease_seconds=60)
    output = Output(
        video_url="https://m.example/v.mp4",
        thumbnail_url="https://m.example/v.jpg",
        last_frame_url=None,
        duration_seconds=5.0,
    )
    claim = await api.work.keep_output(claim, output, started_at=utc_now(), event=None)
    assert await poll() == {**expected, "status": "processing"}
    ended = replace(claim.job, status=Status.COMPLETED, charged_micros=50_000_000, ended_at=utc_now())
    await api.work.finish(claim, ended, event=render_event(claim.job, ended, utc_now()))

    assert await poll() == {
        **expected,
        "status": "completed",
        "completed_at": rfc3339(ended.ended_at or utc_now()),
        "credits_charged": 50,
        "output": {"video_url": "https://m.example/v.mp4", "thumbnail_url": "https://m.example/v.jpg"},
    }


async def test_a_failed_video_shows_its_refund(api: Api) -> None:
    key = api.add_key()
    created = (await api.call("Video.CreateVideo", BODY, key=key))["data"]
    [claim] = await api.work.claim(limit=1, lease_seconds=60)
    claim = await api.work.give_up(claim, failure=FailureCode.TIMEOUT, detail="secret of the provider")
    ended = replace(claim.job, status=Status.FAILED, refunded_micros=50_000_000, ended_at=utc_now())
    await api.work.finish(claim, ended, event=None)

    answer = await api.call("Video.GetVideo", {"id": created["id"]}, key=key)

    assert answer["data"] == {
        "id": created["id"],
        "status": "failed",
        "model": "mini",
        "created_at": created["created_at"],
        "credits_charged": 0,
        "credits_refunded": 50,
        "error": {
            "code": "timeout",
            "message": "The video was not ready in time. Please try again.",
            "type": "generation_error",
        },
    }


async def test_a_prompt_of_any_characters_is_stored(api: Api) -> None:
    prompt = 'bell \u0007, quote " and \\, 𝄞, \u2028'

    await api.call("Video.CreateVideo", {"model": "mini", "input": {"prompt": prompt}}, key=api.add_key())

    [claim] = await api.work.claim(limit=1, lease_seconds=60)
    assert claim.job.input.prompt == prompt


URL = "https://cdn.example.com/a"


def with_input(**fields: Any) -> dict[str, Any]:
    return {"model": "mini", "input": {**PROMPT, **fields}}


BAD_CREATIONS: list[tuple[dict[str, Any], str]] = [
    ({}, "Field model is required and must not be empty."),
    ({"input": PROMPT}, "Field model is required and must not be empty."),
    ({"model": "mini"}, "Field input is required."),
    ({"model": "mini", "input": {}}, "Field input.prompt is required and must not be empty."),
    (with_input(prompt="  "), "Field input.prompt must not be blank."),
    (with_input(prompt="x" * 10_001), "Field input.prompt must be at most 10000 characters."),
    (with_input(duration=3), "Field input.duration must be greater than or equal to 4 and less than or equal to 15. It was 3."),
    (with_input(duration=16), "Field input.duration must be greater than or equal to 4 and less than or equal to 15. It was 16."),
    (with_input(duration=0), "Field input.duration must be greater than or equal to 4 and less than or equal to 15. It was 0."),
    (with_input(resolution="1080p"), 'Field input.resolution must be one of 480p, 720p for model mini. It was "1080p".'),
    (with_input(resolution="4k"), 'Field input.resolution must be one of 480p, 720p, 1080p. It was "4k".'),
    (with_input(aspect_ratio="2:1"), 'Field input.aspect_ratio must be one of 16:9, 4:3, 1:1, 3:4, 9:16, 21:9, adaptive. It was "2:1".'),
    (with_input(generation_type="text"), 'Field input.generation_type must be one of omni_reference, first_and_last_frames. It was "text".'),
    (with_input(seed=-1), "Field input.seed must be greater than or equal to 0. It was -1."),
    (with_input(image_urls=[URL] * 10), "Field input.image_urls must contain no more than 9 item(s); it had 10."),
    (with_input(video_urls=[URL] * 4), "Field input.video_urls must contain no more than 3 item(s); it had 4."),
    (with_input(image_urls=[URL], audio_urls=[URL] * 4), "Field input.audio_urls must contain no more than 3 item(s); it had 4."),
    (with_input(image_urls=[URL, ""]), "Field input.image_urls[1] must not be empty."),
    (with_input(video_url=URL, video_urls=[URL]), "Field input.video_url cannot be sent together with input.video_urls."),
    (with_input(start_image_url=URL), "Field input.start_image_url is only allowed with generation_type first_and_last_frames."),
    (with_input(generation_type="first_and_last_frames", image_urls=[URL] * 3), "Field input.image_urls must hold exactly 2 images with generation_type first_and_last_frames; it had 3."),
    (with_input(image_urls=["ftp://a.example/x"]), 'Field input.image_urls[0] must be an http or https address. It was "ftp://a.example/x".'),
    (with_input(image_urls=[URL, "http://10.0.0.1/a.png"]), 'Field input.image_urls[1] must not point to a private address. It was "http://10.0.0.1/a.png".'),
    ({**BODY, "callback_url": "http://localhost:8080/"}, 'Field callback_url must not point to a private address. It was "http://localhost:8080/".'),
    ({**BODY, "callback_url": "http://a.example/\u0000"}, "Field callback_url must not contain NUL characters."),
    ({**BODY, "callback_url": "https://a.example/" + "x" * 2_048}, "Field callback_url must be at most 2048 characters."),
    ({**BODY, "metadata": {"a": "x" * 16_384}}, "Field metadata must be at most 16384 bytes of JSON; it had 16392."),
    ({**BODY, "metadata": {"a": {"b": {"c": {"d": {"e": {}}}}}}}, "Field metadata must be at most 5 levels deep."),
]  # fmt: skip


async def test_every_bad_creation_is_refused_with_field_value_and_rule(api: Api) -> None:
    key = api.add_key()

    for fields, message in BAD_CREATIONS:
        refused = await refusal(api, "Video.CreateVideo", fields, key=key)

        assert refused.message.startswith(message)
        assert refused.http_status == 400
        assert refused.envelope == {
            "error": {"code": "invalid_request", "message": refused.message, "type": "invalid_request_error"}
        }
    assert api.ledger.available_micros["acct_1", "live"] == RICH_MICROS
    assert await api.work.claim(limit=1, lease_seconds=1) == []


async def test_unknown_fields_of_a_direct_caller_are_refused(api: Api) -> None:
    request = CreateVideoRequest(model="mini", input=VideoInput(prompt="a"))
    request.MergeFromString(b"\xfa\x01\x01x")

    refused = await refusal(api, "Video.CreateVideo", request, key=api.add_key())

    known = "Fields of this request: model, input, callback_url, metadata."
    assert refused.message == f"Field number 31 of the request is not known. Remove it. {known}"


async def test_an_unknown_model_is_not_found(api: Api) -> None:
    refused = await refusal(api, "Video.CreateVideo", {"model": "ultra", "input": PROMPT}, key=api.add_key())

    assert refused.http_status == 404
    assert refused.envelope["error"] == {
        "code": "model_not_found",
        "message": 'There is no model "ultra". Use one of: pro, fast, mini.',
        "type": "invalid_request_error",
    }


async def test_without_credits_nothing_is_created(api: Api) -> None:
    key = api.add_key()
    api.ledger.available_micros["acct_1", "live"] = 49_999_999

    refused = await refusal(api, "Video.CreateVideo", BODY, key=key)

    assert refused.http_status == 402
    assert refused.envelope["error"]["code"] == "insufficient_credits"
    assert (await api.call("Video.ListVideos", key=key))["data"] == []


async def test_only_a_working_key_of_the_contract_is_let_in(api: Api) -> None:
    valid = api.add_key()
    unknown = api.add_key()
    api.callers.popitem()
    other_contract = api.add_key(contract="nextapi")

    for method in ("Video.ListVideos", "Models.ListModels", "Usage.GetUsage"):
        await api.call(method, key=valid)
        for key in (None, "", valid[:-1] + "z", unknown, other_contract):
            refused = await refusal(api, method, None, key=key)

            assert refused.http_status == 401
            assert refused.envelope["error"] == {
                "code": "invalid_api_key",
                "message": "API key is missing, invalid, or disabled.",
                "type": "authentication_error",
            }


async def test_other_peoples_tasks_do_not_exist(api: Api) -> None:
    mine = (await api.call("Video.CreateVideo", BODY, key=api.add_key()))["data"]["id"]
    strangers = (api.add_key(account_id="acct_2"), api.add_key(environment="test"))

    for key in strangers:
        refused = await refusal(api, "Video.GetVideo", {"id": mine}, key=key)

        assert refused.http_status == 404
        assert refused.envelope["error"] == {
            "code": "task_not_found",
            "message": f'There is no task "{mine}".',
            "type": "invalid_request_error",
        }
        assert (await api.call("Video.ListVideos", key=key))["data"] == []
        assert (await api.call("Usage.GetUsage", key=key))["data"]["summary"]["total_jobs"] == 0


async def test_what_is_no_id_is_not_found(api: Api) -> None:
    key = api.add_key()

    for text in ("vid_01jz8b7q4x8k2p9w3m5c6n7r8s", "vid_1", "x\u0007", "../etc", "%"):
        refused = await refusal(api, "Video.GetVideo", {"id": text}, key=key)

        assert (refused.http_status, refused.message) == (404, f'There is no task "{text}".')


async def test_lists_page_through_tasks_of_one_moment(api: Api) -> None:
    key = api.add_key()
    api.moment = moment = utc_now()
    created = await asyncio.gather(*(api.call("Video.CreateVideo", BODY, key=key) for _ in range(25)))
    newest_first = sorted((answer["data"]["id"] for answer in created), reverse=True)

    first = await api.call("Video.ListVideos", key=key)
    rest = await api.call("Video.ListVideos", {"after": first["next_after"]}, key=key)
    by_seven: list[str] = []
    page: dict[str, Any] = {"next_after": None}
    while "next_after" in page:
        asked = {"limit": 7} if page["next_after"] is None else {"limit": 7, "after": page["next_after"]}
        page = await api.call("Video.ListVideos", asked, key=key)
        by_seven += [video["id"] for video in page["data"]]

    assert [video["id"] for video in first["data"]] == newest_first[:20]
    assert [video["id"] for video in rest["data"]] == newest_first[20:]
    assert "next_after" not in rest
    assert by_seven == newest_first
    assert {video["created_at"] for video in first["data"]} == {rfc3339(moment)}


async def test_lists_filter_by_status(api: Api) -> None:
    key = api.add_key()
    for _ in range(3):
        await api.call("Video.CreateVideo", {**BODY, "metadata": METADATA}, key=key)
    [claim] = await api.work.claim(limit=1, lease_seconds=60)
    ended = replace(
        claim.job,
        status=Status.FAILED,
        failure=FailureCode.TIMEOUT,
        refunded_micros=50_000_000,
        ended_at=utc_now(),
    )
    claim = await api.work.give_up(claim, failure=FailureCode.TIMEOUT, detail="")
    await api.work.finish(claim, ended, event=None)

    failed = await api.call("Video.ListVideos", {"status": "failed"}, key=key)
    pending = await api.call("Video.ListVideos", {"status": "pending", "limit": 1}, key=key)
    completed = await api.call("Video.ListVideos", {"status": "completed"}, key=key)

    polled = await api.call("Video.GetVideo", {"id": claim.job.id}, key=key)
    assert failed == {"data": [polled["data"]]}
    assert len(pending["data"]) == 1
    assert pending["next_after"] == pending["data"][0]["id"]
    assert completed == {"data": []}


LIST_LIMITS = "Field limit must be greater than or equal to 1 and less than or equal to 100. It was"


async def test_wrong_list_filters_are_refused(api: Api) -> None:
    key = api.add_key()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"limit": 0}, f"{LIST_LIMITS} 0."),
        ({"limit": 101}, f"{LIST_LIMITS} 101."),
        (
            {"status": "done"},
            'Field status must be one of pending, processing, completed, failed. It was "done".',
        ),
        ({"after": "vid_1"}, 'Field after must be the id of a task. It was "vid_1".'),
    ]

    for fields, message in wrong:
        refused = await refusal(api, "Video.ListVideos", fields, key=key)

        assert (refused.http_status, refused.message) == (400, message)


async def test_models_are_listed_and_shown(api: Api) -> None:
    key = api.add_key()

    listed = await api.call("Models.ListModels", key=key)
    shown = await api.call("Models.GetModel", {"id": "fast"}, key=key)
    refused = await refusal(api, "Models.GetModel", {"id": "ultra"}, key=key)

    assert [model["id"] for model in listed["data"]] == ["pro", "fast", "mini"]
    assert listed["data"][0] == {
        "id": "pro",
        "status": "active",
        "resolutions": ["480p", "720p", "1080p"],
        "duration": {"min": 4, "max": 15},
    }
    assert shown["data"]["credits_per_second"] == {"480p": 8, "720p": 16}
    assert (refused.http_status, refused.envelope["error"]["code"]) == (404, "model_not_found")


async def test_an_accepted_job_wakes_the_workers(api: Api) -> None:
    await api.call("Video.CreateVideo", BODY, key=api.add_key())

    assert api.notified == [True]


async def test_a_callback_needs_no_key_and_wakes_its_job(api: Api) -> None:
    await api.call("Video.CreateVideo", BODY, key=api.add_key())
    api.notified.clear()
    [claim] = await api.work.claim(limit=1, lease_seconds=60)
    claim = await api.work.open_attempt(claim, candidates=(a_candidate(),), token="token-1")
    await api.work.postpone(claim, seconds=3600)

    body = {"content_type": "application/json", "data": "Y2d0LTE="}
    for token in ("token-2", "token-\u0007"):
        await api.call("Callback.ReceiveCallback", {"token": token, "body": body}, key=None)
    assert await api.work.claim(limit=1, lease_seconds=60) == []
    assert api.notified == []
    await api.call("Callback.ReceiveCallback", {"token": "token-1", "body": body}, key=None)

    [woken] = await api.work.claim(limit=1, lease_seconds=60)
    assert woken.attempt is not None
    assert woken.attempt.claimed_task_id == "cgt-1"
    assert api.notified == [True]
