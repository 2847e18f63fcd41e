"""What customers are shown: key for key, in polls and in webhooks alike."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from services.jobs.convert.events import render_event
from services.jobs.convert.models import render_model, render_model_detail
from services.jobs.convert.seedancee2 import render_created, render_video
from services.jobs.convert.usage import render_usage
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job
from services.jobs.domain.states import Status
from services.jobs.operations.get_usage import Tally, Usage
from tests.unit.jobs.samples import INPUT, OFFERS, OUTPUT, a_job

ID = "vid_01jz8b7q4x8k2p9w3m5c6n7r8s"
METADATA_JSON = '{"customer_job_id":"job_123","n":[1,1.5,null,{}]}'
METADATA: dict[str, Any] = {"customer_job_id": "job_123", "n": [1, 1.5, None, {}]}
ENDED_AT = datetime(2026, 6, 29, 10, 6, 20, 999, tzinfo=UTC)
BASE = {"id": ID, "model": "pro", "created_at": "2026-06-29T10:00:00.000Z"}
ERROR = {
    "code": "generation_failed",
    "message": "The video could not be generated. Please try again with a different prompt.",
    "type": "generation_error",
}
COMPLETED = a_job(
    status=Status.COMPLETED,
    ended_at=ENDED_AT,
    charged_micros=100_000_000,
    output=replace(OUTPUT, last_frame_url="https://media.example/video-posters/a-last.jpg"),
)
FAILED = a_job(
    status=Status.FAILED,
    ended_at=ENDED_AT,
    refunded_micros=100_000_000,
    failure=FailureCode.GENERATION_FAILED,
)
LINKS = {"video_url": OUTPUT.video_url, "thumbnail_url": OUTPUT.thumbnail_url}
ENDED: dict[str, tuple[Job, dict[str, Any]]] = {
    "completed": (
        COMPLETED,
        {
            **BASE,
            "status": "completed",
            "completed_at": "2026-06-29T10:06:20.000Z",
            "credits_charged": 100,
            "output": LINKS,
        },
    ),
    "completed with last frame": (
        replace(COMPLETED, input=replace(INPUT, return_last_frame=True), charged_micros=1_050_000),
        {
            **BASE,
            "status": "completed",
            "completed_at": "2026-06-29T10:06:20.000Z",
            "credits_charged": 1.05,
            "output": {**LINKS, "last_frame_url": "https://media.example/video-posters/a-last.jpg"},
        },
    ),
    "failed": (
        FAILED,
        {**BASE, "status": "failed", "credits_charged": 0, "credits_refunded": 100, "error": ERROR},
    ),
}
UNFINISHED: dict[str, tuple[Job, dict[str, Any]]] = {
    "pending": (a_job(), {**BASE, "status": "pending"}),
    "processing": (a_job(status=Status.PROCESSING), {**BASE, "status": "processing"}),
    # A result may lie stored, and a failure be decided, while the credits still move.
    "processing, stored": (
        a_job(status=Status.PROCESSING, output=OUTPUT),
        {**BASE, "status": "processing"},
    ),
    "processing, failing": (
        a_job(status=Status.PROCESSING, failure=FailureCode.TIMEOUT),
        {**BASE, "status": "processing"},
    ),
}
EVERY = UNFINISHED | ENDED


def shown(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)


@pytest.mark.parametrize("name", EVERY)
def test_each_status_shows_its_own_keys(name: str) -> None:
    job, expected = EVERY[name]

    assert shown(render_video(job)) == expected


@pytest.mark.parametrize("name", EVERY)
def test_metadata_is_echoed_in_each_status(name: str) -> None:
    job, expected = EVERY[name]

    assert shown(render_video(replace(job, metadata_json=METADATA_JSON))) == {
        **expected,
        "metadata": METADATA,
    }


def test_empty_metadata_is_echoed() -> None:
    assert shown(render_video(a_job(metadata_json="{}")))["metadata"] == {}


@pytest.mark.parametrize("name", ENDED)
def test_a_webhook_says_what_a_poll_says(name: str) -> None:
    job = replace(ENDED[name][0], metadata_json=METADATA_JSON)

    event = render_event(a_job(), job, ENDED_AT)

    assert event is not None
    assert (event.type, event.sequence) == (f"video.generation.{job.status}", 1)
    assert json.loads(event.body) == {"data": shown(render_video(job))}


def test_a_webhook_body_is_compact_and_its_whole_numbers_are_whole() -> None:
    event = render_event(a_job(), replace(FAILED, metadata_json='{"größe":1}'), ENDED_AT)

    assert event is not None
    assert event.body.decode() == (
        f'{{"data":{{"id":"{ID}","status":"failed","model":"pro","created_at":"2026-06-29T10:00:00.000Z",'
        '"credits_charged":0,"credits_refunded":100,"error":{"code":"generation_failed","message":'
        '"The video could not be generated. Please try again with a different prompt.","type":"generation_error"},'
        '"metadata":{"größe":1}}}'
    )


def test_creation_is_answered_with_exactly_five_keys() -> None:
    assert shown(render_created(a_job(metadata_json=METADATA_JSON))) == {
        **BASE,
        "status": "pending",
        "credits_reserved": 100,
    }


def test_a_model_is_shown_as_documented() -> None:
    assert shown(render_model(OFFERS["pro"])) == {
        "id": "pro",
        "status": "active",
        "resolutions": ["480p", "720p", "1080p"],
        "duration": {"min": 4, "max": 15},
    }


def test_a_models_detail_adds_ratios_capabilities_and_prices() -> None:
    detail = shown(render_model_detail(OFFERS["mini"]))

    assert detail == {
        "id": "mini",
        "status": "active",
        "resolutions": ["480p", "720p"],
        "duration": {"min": 4, "max": 15},
        "aspect_ratios": ["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"],
        "capabilities": [
            "image_reference",
            "video_reference",
            "audio_reference",
            "first_and_last_frames",
            "audio_generation",
            "watermark",
            "last_frame",
        ],
        "credits_per_second": {"480p": 5, "720p": 10},
    }


def test_usage_is_shown_as_documented() -> None:
    tally = Tally(
        pending=1, processing=2, completed=8, failed=1, charged_micros=280_000_000, refunded_micros=40_000_000
    )
    counts = {
        "total_jobs": 12,
        "pending_jobs": 1,
        "processing_jobs": 2,
        "completed_jobs": 8,
        "failed_jobs": 1,
        "credits_charged": 280,
        "credits_refunded": 40,
        "net_credits": 240,
    }
    usage = Usage(
        start=datetime(2026, 7, 1, tzinfo=UTC),
        end=datetime(2026, 7, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        summary=tally,
        by_model=[("mini", tally)],
        timeline=[(date(2026, 7, 1), tally)],
    )

    rendered = MessageToDict(
        render_usage(usage), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )

    assert rendered == {
        "range": {"start": "2026-07-01T00:00:00.000Z", "end": "2026-07-31T23:59:59.999Z"},
        "summary": counts,
        "by_model": [{"model": "mini", **counts}],
        "timeline": [{"date": "2026-07-01", **counts}],
    }
