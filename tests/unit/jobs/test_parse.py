"""What a customer may ask for, and what every refusal says."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from reelgate.usage.v1.usage_service_pb2 import GetUsageRequest
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest, EstimateVideoRequest, ListVideosRequest

from services.common.egress.policy import UrlPolicy
from services.common.egress.urls import check_url
from services.common.errors import Reason, ServiceError
from services.common.rpc.object_limits import OBJECT_JSON_BYTES_MAX
from services.jobs.convert import seedancee2
from services.jobs.convert.seedancee2 import parse_list_videos, parse_new_video
from services.jobs.convert.shared import parse_job_id
from services.jobs.convert.usage import parse_get_usage
from services.jobs.domain.requests import JobInput, NewJob
from services.jobs.domain.states import Status

A, B, C = (f"https://cdn.example.com/{name}" for name in "abc")
NOW = datetime(2026, 7, 31, 12, 0, 0, 123_456, tzinfo=UTC)


def parse(body: dict[str, Any]) -> NewJob:
    create, estimate = (
        parse_new_video(
            ParseDict(body, request),
            check_url=lambda url: check_url(url, UrlPolicy()),
            random_seed=lambda: 42,
        )
        for request in (CreateVideoRequest(), EstimateVideoRequest())
    )
    assert create == estimate
    return create


def parse_input(**fields: Any) -> JobInput:
    return parse({"model": "pro", "input": {"prompt": "waves", **fields}}).input


def test_every_default_is_resolved() -> None:
    wanted = parse({"model": "mini", "input": {"prompt": "waves"}})

    assert wanted == NewJob(
        model="mini",
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
        field_name=seedancee2.field_name,
    )


def test_everything_sent_is_kept() -> None:
    wanted = parse(
        {
            "model": "pro",
            "callback_url": C,
            "metadata": {"customer_job_id": "job_123"},
            "input": {
                "prompt": " a b ",
                "generation_type": "omni_reference",
                "image_urls": [A, B],
                "video_urls": [C, A],
                "audio_urls": [B],
                "duration": 15,
                "resolution": "1080p",
                "aspect_ratio": "adaptive",
                "generate_audio": True,
                "watermark": True,
                "seed": 0,
                "return_last_frame": True,
            },
        }
    )

    assert wanted == NewJob(
        model="pro",
        input=JobInput(
            prompt=" a b ",
            duration_seconds=15,
            resolution="1080p",
            aspect_ratio="adaptive",
            generate_audio=True,
            watermark=True,
            return_last_frame=True,
            seed=0,
            image_urls=(A, B),
            video_urls=(C, A),
            audio_urls=(B,),
        ),
        callback_url=C,
        metadata_json='{"customer_job_id":"job_123"}',
        field_name=seedancee2.field_name,
        names_seed=True,
        reference_fields=(
            "image_urls[0]",
            "image_urls[1]",
            "video_urls[0]",
            "video_urls[1]",
            "audio_urls[0]",
        ),
    )


def test_one_reference_video_is_a_list_of_one() -> None:
    assert parse_input(video_url=A).video_urls == (A,)


@pytest.mark.parametrize(
    "frames", [{"start_image_url": A, "end_image_url": B}, {"image_urls": [A, B]}], ids=["named", "listed"]
)
def test_first_and_last_frames_come_in_two_forms(frames: dict[str, Any]) -> None:
    wanted = parse_input(generation_type="first_and_last_frames", **frames)

    assert (wanted.start_image_url, wanted.end_image_url, wanted.image_urls) == (A, B, ())


@pytest.mark.parametrize(
    ("fields", "resolved"),
    [
        ({}, "16:9"),
        ({"video_url": A}, "16:9"),
        ({"image_urls": [A]}, "adaptive"),
        ({"generation_type": "first_and_last_frames", "image_urls": [A, B]}, "adaptive"),
    ],
)
def test_adaptive_needs_an_image_to_adapt_to(fields: dict[str, Any], resolved: str) -> None:
    assert parse_input(aspect_ratio="adaptive", **fields).aspect_ratio == resolved


FRAMES = "first_and_last_frames"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompt": " \n\t"}, "Field input.prompt must not be blank."),
    (
        {"video_url": A, "video_urls": [B]},
        "Field input.video_url cannot be sent together with input.video_urls.",
    ),
    (
        {"start_image_url": A},
        "Field input.start_image_url is only allowed with generation_type first_and_last_frames.",
    ),
    (
        {"generation_type": "omni_reference", "end_image_url": A},
        "Field input.end_image_url is only allowed with generation_type first_and_last_frames.",
    ),
    (
        {"audio_urls": [A]},
        "Field input.audio_urls needs at least one reference image or video beside it.",
    ),
    (
        {"generation_type": FRAMES, "start_image_url": A},
        (
            "Field input.end_image_url is required with generation_type first_and_last_frames, "
            "unless input.image_urls holds the 2 frames."
        ),
    ),
    (
        {"generation_type": FRAMES},
        (
            "Field input.start_image_url is required with generation_type first_and_last_frames, "
            "unless input.image_urls holds the 2 frames."
        ),
    ),
    *(
        (
            {"generation_type": FRAMES, "image_urls": [A] * count},
            (
                "Field input.image_urls must hold exactly 2 images with generation_type first_and_last_frames; "
                f"it had {count}."
            ),
        )
        for count in (1, 3)
    ),
    (
        {"generation_type": FRAMES, "image_urls": [A, B], "start_image_url": C},
        "Field input.image_urls cannot be combined with input.start_image_url and input.end_image_url.",
    ),
    *(
        (
            {"generation_type": FRAMES, "image_urls": [A, B], name: value},
            f"Field input.{name} cannot be combined with generation_type first_and_last_frames.",
        )
        for name, value in (("video_url", C), ("video_urls", [C]), ("audio_urls", [C]))
    ),
    (
        {"image_urls": [A, "http://10.0.0.1/a.png"]},
        'Field input.image_urls[1] must not point to a private address. It was "http://10.0.0.1/a.png".',
    ),
    (
        {"generation_type": FRAMES, "image_urls": [A, "http://[::1]/b"]},
        'Field input.image_urls[1] must not point to a private address. It was "http://[::1]/b".',
    ),
    (
        {"generation_type": FRAMES, "start_image_url": "http://localhost/a", "end_image_url": B},
        'Field input.start_image_url must not point to a private address. It was "http://localhost/a".',
    ),
    (
        {"video_url": "ftp://example.com/a"},
        'Field input.video_url must be an http or https address. It was "ftp://example.com/a".',
    ),
    (
        {"video_urls": ["file:///etc/passwd"]},
        'Field input.video_urls[0] must be an http or https address. It was "file:///etc/passwd".',
    ),
    (
        {"image_urls": [A], "audio_urls": ["asset://1"]},
        'Field input.audio_urls[0] must be an http or https address. It was "asset://1".',
    ),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_a_wrong_input_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ServiceError) as refused:
        parse_input(**fields)

    assert refused.value.reason is Reason.INVALID_FIELD
    assert refused.value.message == message


def test_a_private_callback_is_refused() -> None:
    with pytest.raises(ServiceError) as refused:
        parse({"model": "pro", "input": {"prompt": "a"}, "callback_url": "http://169.254.169.254/"})

    assert refused.value.message == (
        'Field callback_url must not point to a private address. It was "http://169.254.169.254/".'
    )


def metadata_json(metadata: dict[str, Any]) -> str | None:
    return parse({"model": "pro", "input": {"prompt": "a"}, "metadata": metadata}).metadata_json


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ({}, "{}"),
        ({"a": 100}, '{"a":100}'),
        ({"a": -3.0}, '{"a":-3}'),
        ({"a": 1.05}, '{"a":1.05}'),
        ({"a": 2**53 - 1}, '{"a":9007199254740991}'),
        ({"b": 1e-300, "a": "first"}, '{"a":"first","b":1e-300}'),
        ({"a": [None, True, "ü\u0000", {}, []]}, '{"a":[null,true,"ü\\u0000",{},[]]}'),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, '{"a":{"b":{"c":{"d":{"e":1}}}}}'),
        ({"a": [[[["deep"]]]]}, '{"a":[[[["deep"]]]]}'),
    ],
)
def test_metadata_becomes_compact_json(metadata: dict[str, Any], kept: str) -> None:
    assert metadata_json(metadata) == kept


def test_metadata_is_measured_in_bytes_of_compact_json() -> None:
    overhead = len('{"a":""}')
    fits = {"a": "é" * ((OBJECT_JSON_BYTES_MAX - overhead) // 2)}
    too_large = {"a": fits["a"] + "x"}

    assert len((metadata_json(fits) or "").encode()) == OBJECT_JSON_BYTES_MAX
    with pytest.raises(
        ServiceError, match=r"^Field metadata must be at most 16384 bytes of JSON; it had 16385\.$"
    ):
        metadata_json(too_large)


def test_metadata_of_many_shapes_survives() -> None:
    sent = {"n": [0, -1, 0.1, 1e-7, 123456789012], "s": ["", '"\\', "𝄞"], "o": {"x": {"y": None}}}

    assert json.loads(metadata_json(sent) or "") == sent


@pytest.mark.parametrize(
    "text",
    [
        "vid_1",
        "vid_01jz8b7q4x8k2p9w3m5c6n7r8",
        "VID_01JZ8B7Q4X8K2P9W3M5C6N7R8S",
        "job_01jz8b7q4x8k2p9w3m5c6n7r8s",
        "vid_01jz8b7q4x8k2p9w3m5c6n7r8u",
        "vid_01jz8b7q4x8k2p9w3m5c6n7r8s\n",
        "\u0000",
        "' OR 1=1",
    ],
)
def test_what_cannot_be_an_id_names_no_task(text: str) -> None:
    with pytest.raises(ServiceError) as refused:
        parse_job_id(text, "vid")

    assert refused.value.reason is Reason.JOB_NOT_FOUND
    assert refused.value.message == f'There is no task "{text}".'


def test_a_list_defaults_to_the_twenty_newest() -> None:
    assert parse_list_videos(ListVideosRequest()) == (None, None, 20)


def test_a_list_is_filtered_and_continued() -> None:
    after = "vid_01jz8b7q4x8k2p9w3m5c6n7r8s"
    request = ListVideosRequest(status="failed", limit=100, after=after)

    assert parse_list_videos(request) == (Status.FAILED, after, 100)


def test_a_list_continues_only_after_an_id() -> None:
    with pytest.raises(ServiceError, match=r'^Field after must be the id of a task\. It was "vid_1"\.$'):
        parse_list_videos(ListVideosRequest(after="vid_1"))


def test_usage_covers_the_last_30_days_by_default() -> None:
    end = datetime(2026, 7, 31, 12, 0, 0, 123_000, tzinfo=UTC)

    assert parse_get_usage(GetUsageRequest(), now=NOW) == (
        datetime(2026, 7, 1, 12, 0, 0, 123_000, tzinfo=UTC),
        end,
        30,
    )
    assert parse_get_usage(GetUsageRequest(start="2026-07-30T00:00:00Z"), now=NOW)[1] == end


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-07-01T00:00:00.000Z", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-07-01T02:00:00+02:00", datetime(2026, 7, 1, tzinfo=UTC)),
        ("20260701T000000Z", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-07-01T00:00:00.123987654Z", datetime(2026, 7, 1, 0, 0, 0, 123_000, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_usage_reads_iso_8601(text: str, moment: datetime) -> None:
    start, _, _ = parse_get_usage(GetUsageRequest(start=text), now=NOW)

    assert start == moment


ISO = "must be an ISO 8601 date and time with a time zone, such as 2026-07-01T00:00:00.000Z."


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start": "yesterday"}, f'Field start {ISO} It was "yesterday".'),
        ({"end": ""}, f'Field end {ISO} It was "".'),
        ({"end": "2026-07-01"}, f'Field end {ISO} It was "2026-07-01".'),
        ({"end": "2026-07-01T00:00:00"}, f'Field end {ISO} It was "2026-07-01T00:00:00".'),
        ({"end": "2026-13-01T00:00:00Z"}, f'Field end {ISO} It was "2026-13-01T00:00:00Z".'),
        ({"end": "9999-12-31T23:59:59-01:00"}, f'Field end {ISO} It was "9999-12-31T23:59:59-01:00".'),
        (
            {"start": "0001-01-01T00:00:00Z"},
            'Field start must not be before the year 1970. It was "0001-01-01T00:00:00Z".',
        ),
        (
            {"start": "2026-07-02T00:00:00Z", "end": "2026-07-01T00:00:00Z"},
            (
                "Field start must not be after the end of the range, 2026-07-01T00:00:00.000Z. "
                'It was "2026-07-02T00:00:00Z".'
            ),
        ),
        (
            {"start": "2027-01-01T00:00:00Z"},
            (
                "Field start must not be after the end of the range, 2026-07-31T12:00:00.123Z. "
                'It was "2027-01-01T00:00:00Z".'
            ),
        ),
    ],
)
def test_a_wrong_range_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ServiceError) as refused:
        parse_get_usage(GetUsageRequest(**fields), now=NOW)

    assert refused.value.reason is Reason.INVALID_FIELD
    assert refused.value.message == message
