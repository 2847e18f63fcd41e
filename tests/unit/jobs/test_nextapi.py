"""What customers of the NextAPI contract may ask for and are shown: key for key, in polls and in webhooks alike."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from reelgate.nextapi.v1.job_service_pb2 import CreateJobRequest, ListJobsRequest
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest

from services.common.egress.policy import UrlPolicy
from services.common.egress.urls import check_url
from services.common.errors import Reason, ServiceError
from services.common.rpc.object_limits import OBJECT_JSON_BYTES_MAX
from services.jobs.convert import nextapi
from services.jobs.convert.events import render_event
from services.jobs.convert.nextapi import (
    parse_list_jobs,
    parse_new_job,
    render_created,
    render_job,
)
from services.jobs.convert.seedancee2 import parse_new_video, render_video
from services.jobs.convert.shared import parse_job_id
from services.jobs.domain.events import NewEvent
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job, progress_percent
from services.jobs.domain.requests import JobInput, NewJob
from services.jobs.domain.states import Status
from tests.unit.jobs.samples import INPUT, NEXTAPI_OWNER, OUTPUT, a_job

A, B, C = (f"https://cdn.example.com/{name}" for name in "abc")
ID = "job_01jz8b7q4x8k2p9w3m5c6n7r8s"
CREATED_AT = datetime(2026, 6, 29, 10, tzinfo=UTC)
STARTED_AT = CREATED_AT + timedelta(seconds=10)
ENDED_AT = CREATED_AT + timedelta(seconds=40)
METADATA_JSON = '{"order":7,"n":[1,1.5,null,{}]}'
QUEUED = a_job(
    id=ID,
    owner=NEXTAPI_OWNER,
    model="seedance-2.0-pro",
    price_version="2026-11",
    micros_per_second=175_000,
    reserved_micros=1_050_000,
    created_at=CREATED_AT,
)
TAKEN = replace(QUEUED, status=Status.PROCESSING)
RUNNING = replace(TAKEN, started_at=STARTED_AT)
SUCCEEDED = replace(
    RUNNING, status=Status.COMPLETED, ended_at=ENDED_AT, charged_micros=1_050_000, output=OUTPUT
)
FAILED = replace(
    RUNNING,
    status=Status.FAILED,
    ended_at=ENDED_AT,
    refunded_micros=1_050_000,
    failure=FailureCode.GENERATION_FAILED,
)
CANCELED = replace(FAILED, started_at=None, failure=FailureCode.CANCELLED)
BASE = {
    "id": ID,
    "model": "seedance-2.0-pro",
    "estimated_credits": 1.05,
    "created_at": "2026-06-29T10:00:00.000Z",
}
STARTED = {"started_at": "2026-06-29T10:00:10.000Z"}
ENDED = {"completed_at": "2026-06-29T10:00:40.000Z"}
LINKS = {"video_url": OUTPUT.video_url, "thumbnail_url": OUTPUT.thumbnail_url}
NO_RESULT = {
    "code": "generation_failed",
    "message": "The video could not be generated. Please try again with a different prompt.",
}
EVERY: dict[str, tuple[Job, dict[str, Any]]] = {
    "queued": (QUEUED, {**BASE, "status": "queued", "progress": 0}),
    "queued at a provider": (TAKEN, {**BASE, "status": "queued", "progress": 0}),
    "running": (RUNNING, {**BASE, **STARTED, "status": "running", "progress": 37}),
    # A result may lie stored, and a failure be decided, while the credits still move.
    "running, stored": (
        replace(RUNNING, output=OUTPUT),
        {**BASE, **STARTED, "status": "running", "progress": 37},
    ),
    "running, failing": (
        replace(RUNNING, failure=FailureCode.TIMEOUT),
        {**BASE, **STARTED, "status": "running", "progress": 37},
    ),
    "succeeded": (
        SUCCEEDED,
        {**BASE, **STARTED, **ENDED, **LINKS, "status": "succeeded", "progress": 100, "credits": 1.05},
    ),
    "succeeded with last frame, shorter": (
        replace(
            SUCCEEDED,
            charged_micros=1_000_000,
            refunded_micros=50_000,
            input=replace(INPUT, return_last_frame=True),
            output=replace(OUTPUT, last_frame_url="https://media.example/a-last.jpg"),
        ),
        {
            **BASE,
            **STARTED,
            **ENDED,
            **LINKS,
            "status": "succeeded",
            "progress": 100,
            "credits": 1,
            "last_frame_url": "https://media.example/a-last.jpg",
        },
    ),
    "failed": (
        FAILED,
        {**BASE, **STARTED, **ENDED, "status": "failed", "progress": 37, "credits": 0, "error": NO_RESULT},
    ),
    "canceled": (
        CANCELED,
        {
            **BASE,
            **ENDED,
            "status": "canceled",
            "progress": 0,
            "credits": 0,
            "error": {"code": "canceled", "message": "The job was cancelled at your request."},
        },
    ),
}
EVENTS: dict[str, tuple[Job, Job, str, int]] = {
    "taken": (QUEUED, TAKEN, "job.queued", 1),
    "seen to render": (TAKEN, RUNNING, "job.running", 2),
    "ended well": (RUNNING, SUCCEEDED, "job.succeeded", 3),
    "failed while rendering": (RUNNING, FAILED, "job.failed", 3),
    "failed before it was seen to render": (TAKEN, replace(FAILED, started_at=None), "job.failed", 2),
    "failed before a provider had it": (QUEUED, replace(FAILED, started_at=None), "job.failed", 1),
    "canceled before a provider had it": (QUEUED, CANCELED, "job.canceled", 1),
}


def parse(body: dict[str, Any]) -> NewJob:
    return parse_new_job(
        ParseDict(body, CreateJobRequest()),
        check_url=lambda url: check_url(url, UrlPolicy()),
        random_seed=lambda: 42,
    )


def refusal(**fields: Any) -> str:
    with pytest.raises(ServiceError) as refused:
        parse({"model": "seedance-2.0-pro", "prompt": "waves", **fields})
    assert refused.value.reason is Reason.INVALID_FIELD
    return refused.value.message


def shown(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def event_of(before: Job, after: Job, moment: datetime = ENDED_AT) -> NewEvent:
    event = render_event(before, after, moment)
    assert event is not None
    return event


def test_every_default_is_resolved() -> None:
    wanted = parse({"model": "seedance-2.0-mini", "prompt": "waves"})

    assert wanted == NewJob(
        model="seedance-2.0-mini",
        input=JobInput(
            prompt="waves",
            duration_seconds=5,
            resolution="720p",
            aspect_ratio="16:9",
            generate_audio=False,
            watermark=False,
            return_last_frame=False,
            seed=42,
        ),
        callback_url=None,
        metadata_json=None,
        field_name=nextapi.field_name,
    )


def test_the_flat_request_means_what_the_nested_one_means() -> None:
    same = {
        "prompt": " a b ",
        "generation_type": "omni_reference",
        "image_urls": [A, B],
        "video_urls": [C, A],
        "audio_urls": [B],
        "resolution": "1080p",
        "aspect_ratio": "adaptive",
        "generate_audio": True,
        "watermark": True,
        "seed": 0,
        "return_last_frame": True,
    }
    metadata = {"customer_job_id": "job_123"}
    flat = {"model": "m", "metadata": metadata, "duration_seconds": 15, "webhook_url": C, **same}
    nested = {"model": "m", "metadata": metadata, "callback_url": C, "input": {"duration": 15, **same}}

    wanted = parse(flat)

    of_video = parse_new_video(
        ParseDict(nested, CreateVideoRequest()), check_url=lambda _: None, random_seed=lambda: 1
    )
    assert replace(of_video, field_name=wanted.field_name) == wanted
    assert (wanted.callback_url, wanted.input.duration_seconds) == (C, 15)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": " "}, "Field prompt must not be blank."),
        (
            {"video_url": A, "video_urls": [A]},
            "Field video_url cannot be sent together with video_urls.",
        ),
        ({"audio_urls": [A]}, "Field audio_urls needs at least one reference image or video beside it."),
        (
            {"generation_type": "first_and_last_frames", "image_urls": [A, B], "end_image_url": C},
            "Field image_urls cannot be combined with start_image_url and end_image_url.",
        ),
        (
            {"generation_type": "first_and_last_frames", "start_image_url": A},
            (
                "Field end_image_url is required with generation_type first_and_last_frames, "
                "unless image_urls holds the 2 frames."
            ),
        ),
        (
            {"start_image_url": A},
            "Field start_image_url is only allowed with generation_type first_and_last_frames.",
        ),
    ],
)
def test_a_refusal_names_the_field_as_it_was_sent(fields: dict[str, Any], message: str) -> None:
    assert refusal(**fields) == message


def test_a_forbidden_address_is_refused_under_the_name_of_this_contract() -> None:
    assert refusal(webhook_url="http://127.0.0.1/").startswith("Field webhook_url ")
    assert refusal(image_urls=[A, "ftp://a.example/"]).startswith("Field image_urls[1] ")


def test_metadata_has_its_limits_here_too() -> None:
    assert refusal(metadata={"a": "x" * OBJECT_JSON_BYTES_MAX}).startswith("Field metadata must be at most")


@pytest.mark.parametrize("text", ["vid_01jz8b7q4x8k2p9w3m5c6n7r8s", "job_1", ID.upper(), f"{ID}\n", ""])
def test_what_cannot_be_an_id_names_no_job(text: str) -> None:
    with pytest.raises(ServiceError) as refused:
        parse_job_id(text, nextapi.ID_PREFIX)

    assert refused.value.reason is Reason.JOB_NOT_FOUND
    assert parse_job_id(ID, nextapi.ID_PREFIX) == ID


def test_a_list_defaults_to_the_twenty_newest() -> None:
    assert parse_list_jobs(ListJobsRequest()) == (20, 0)
    assert parse_list_jobs(ListJobsRequest(limit=3, offset=40)) == (3, 40)


def test_creation_is_answered_with_exactly_three_keys() -> None:
    assert shown(render_created(QUEUED)) == {"id": ID, "status": "queued", "estimated_credits": 1.05}


@pytest.mark.parametrize("name", EVERY)
def test_each_status_shows_its_own_keys(name: str) -> None:
    job, expected = EVERY[name]

    assert shown(render_job(job, now=ENDED_AT)) == expected
    with_metadata = replace(job, metadata_json=METADATA_JSON)
    assert shown(render_job(with_metadata, now=ENDED_AT)) == {
        **expected,
        "metadata": json.loads(METADATA_JSON),
    }


def test_a_cancelled_job_fails_on_the_other_contract() -> None:
    video = shown(render_video(CANCELED))

    assert (video["status"], video["error"]["code"]) == ("failed", "cancelled")


def test_progress_grows_with_the_time_and_is_whole_only_with_a_result() -> None:
    seconds = [0, 1, 10, 60, 600, 10**6]

    found = [progress_percent(RUNNING, now=STARTED_AT + timedelta(seconds=n)) for n in seconds]

    assert found == sorted(found)
    assert (found[0], found[-1]) == (1, 95)
    # Clocks of two machines may differ.
    assert progress_percent(RUNNING, now=CREATED_AT) == 1
    assert progress_percent(SUCCEEDED, now=STARTED_AT) == 100
    assert progress_percent(FAILED, now=ENDED_AT + timedelta(days=1)) == progress_percent(
        RUNNING, now=ENDED_AT
    )


@pytest.mark.parametrize("name", EVENTS)
def test_each_transition_has_its_event_and_its_number(name: str) -> None:
    before, after, event_type, sequence = EVENTS[name]

    event = event_of(before, replace(after, metadata_json=METADATA_JSON))

    assert (event.id, event.type, event.sequence) == (f"evt_{ID}_{sequence}", event_type, sequence)
    assert event.occurred_at == ENDED_AT
    polled = shown(render_job(replace(after, metadata_json=METADATA_JSON), now=ENDED_AT))
    assert json.loads(event.body) == {
        "id": event.id,
        "type": event_type,
        "created_at": "2026-06-29T10:00:40.000Z",
        "sequence": sequence,
        "data": polled,
    }


def test_an_event_is_compact_and_its_whole_numbers_are_whole() -> None:
    event = event_of(TAKEN, replace(FAILED, started_at=None, metadata_json='{"größe":1}'))

    assert b'"credits":0,' in event.body
    assert '"metadata":{"größe":1}'.encode() in event.body
    assert b'": ' not in event.body


def test_the_other_contract_is_told_of_the_end_alone() -> None:
    seedancee2 = replace(QUEUED.owner, contract="seedancee2")
    of_other = {
        name: render_event(replace(before, owner=seedancee2), replace(after, owner=seedancee2), ENDED_AT)
        for name, (before, after, _, _) in EVENTS.items()
    }

    assert {name for name, event in of_other.items() if event is None} == {"taken", "seen to render"}
    assert {event.sequence for event in of_other.values() if event is not None} == {1}
