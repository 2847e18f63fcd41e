import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.upstream.bodies import UnusableBodyError
from services.upstream.provider import Done, Hint, Order, Pending, RefusalKind, Refused
from services.upstream.providers.ark import wire

RECORDINGS = Path(__file__).parents[2] / "recordings" / "ark"
ENDED_AT = datetime(2026, 3, 1, 8, 1, 50, tzinfo=UTC)
TASK_ID = "cgt-20260301080000-a1b2c"
ORDER = Order(
    model="dreamina-seedance-2-0-260128",
    prompt="a boat in a storm",
    duration_seconds=4,
    resolution="480p",
    aspect_ratio="16:9",
    generate_audio=True,
    watermark=False,
    return_last_frame=True,
    seed=7,
)
BODY = {
    "model": "dreamina-seedance-2-0-260128",
    "content": [{"type": "text", "text": "a boat in a storm"}],
    "resolution": "480p",
    "ratio": "16:9",
    "duration": 4,
    "generate_audio": True,
    "watermark": False,
    "return_last_frame": True,
    "safety_identifier": "att_1",
}


def recording(name: str) -> bytes:
    return (RECORDINGS / f"{name}.json").read_bytes()


def altered(name: str, **changes: Any) -> bytes:
    return json.dumps(json.loads(recording(name)) | changes).encode()


def rendered(order: Order, *, callback_url: str | None = None, sends_seed: bool = False) -> dict[str, Any]:
    return wire.render_order(order, correlation_id="att_1", callback_url=callback_url, sends_seed=sends_seed)


def test_text_only_order_is_one_text_item() -> None:
    body = rendered(ORDER)

    assert body == BODY


def test_references_come_as_images_videos_audios_in_the_customers_order() -> None:
    order = replace(
        ORDER,
        image_urls=("https://c.example/1.png", "https://c.example/2.png"),
        video_urls=("https://c.example/1.mp4",),
        audio_urls=("https://c.example/1.mp3",),
    )

    body = rendered(order)

    assert body["content"] == [
        {"type": "text", "text": "a boat in a storm"},
        {"type": "image_url", "image_url": {"url": "https://c.example/1.png"}, "role": "reference_image"},
        {"type": "image_url", "image_url": {"url": "https://c.example/2.png"}, "role": "reference_image"},
        {"type": "video_url", "video_url": {"url": "https://c.example/1.mp4"}, "role": "reference_video"},
        {"type": "audio_url", "audio_url": {"url": "https://c.example/1.mp3"}, "role": "reference_audio"},
    ]


def test_frames_carry_their_roles() -> None:
    order = replace(ORDER, start_image_url="https://c.example/a.png", end_image_url="https://c.example/z.png")

    body = rendered(order)

    assert body["content"][1:] == [
        {"type": "image_url", "image_url": {"url": "https://c.example/a.png"}, "role": "first_frame"},
        {"type": "image_url", "image_url": {"url": "https://c.example/z.png"}, "role": "last_frame"},
    ]


def test_callback_and_seed_are_sent_only_when_wanted() -> None:
    body = rendered(ORDER, callback_url="https://ours.example/cb/t", sends_seed=True)

    assert body == BODY | {"callback_url": "https://ours.example/cb/t", "seed": 7}


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        ("a cat --rs 1080p --dur 15", "a cat —rs 1080p —dur 15"),
        ("--watermark true", "—watermark true"),
        ("a cat---seed 3", "a cat—seed 3"),
        ("well-known -- a cat - 5--6", "well-known -- a cat - 5--6"),
    ],
)
def test_suffixes_in_a_prompt_cannot_override_parameters(prompt: str, sent: str) -> None:
    body = rendered(replace(ORDER, prompt=prompt))

    assert body["content"][0]["text"] == sent


def test_created_answer_names_the_task() -> None:
    assert wire.parse_created(recording("created")) == TASK_ID


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff", b"[]", b"{}", b'{"id":7}', b'{"id":"../x"}', b"[" * 100_000]
)
def test_created_answer_without_a_usable_id_is_unusable(body: bytes) -> None:
    with pytest.raises(UnusableBodyError):
        wire.parse_created(body)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (recording("queued"), Pending(running=False)),
        (recording("running"), Pending(running=True)),
        (altered("queued", status="pending"), Pending(running=False)),
        (altered("queued", status="processing"), Pending(running=True)),
        (altered("queued", status="polishing"), Pending(running=True)),
        (
            recording("succeeded"),
            Done(
                video_url="https://results.example/clip.mp4?X-Tos-Expires=86400&X-Tos-Signature=5f",
                ended_at=ENDED_AT,
            ),
        ),
        (
            altered("succeeded", content={"video_url": "https://r.example/c.mp4"}, updated_at=10**18),
            Done(video_url="https://r.example/c.mp4"),
        ),
        (
            altered("succeeded", content={"video_url": "https://r.example/c.mp4"}, updated_at="soon"),
            Done(video_url="https://r.example/c.mp4"),
        ),
        (
            altered("succeeded", content={"video_url": "https://r.example/c.mp4"}),
            Done(video_url="https://r.example/c.mp4", ended_at=ENDED_AT),
        ),
    ],
)
def test_task_body_says_where_the_task_is(body: bytes, answer: Pending | Done) -> None:
    assert wire.parse_task(body) == answer


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (recording("failed"), RefusalKind.CONTENT),
        (altered("failed", error={"code": "InvalidParameter.TaskTypeMismatch"}), RefusalKind.PARAMETERS),
        (altered("failed", error={"code": "InvalidImageURL.EmptyURL"}), RefusalKind.INPUT_MEDIA),
        (altered("failed", error={"code": "InternalServiceError"}), RefusalKind.UNAVAILABLE),
        (altered("failed", error=None), RefusalKind.FAILED),
        (recording("expired"), RefusalKind.EXPIRED),
        (recording("cancelled"), RefusalKind.FAILED),
        (altered("cancelled", status="canceled"), RefusalKind.FAILED),
        (altered("succeeded", content={}), RefusalKind.UNAVAILABLE),
        (altered("succeeded", content=None), RefusalKind.UNAVAILABLE),
        (altered("succeeded", content={"video_url": ""}), RefusalKind.UNAVAILABLE),
    ],
)
def test_ended_task_without_a_result_is_refused(body: bytes, kind: RefusalKind) -> None:
    answer = wire.parse_task(body)

    assert isinstance(answer, Refused)
    assert answer.kind is kind


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b"{}", b'{"status":3}'])
def test_body_that_is_no_task_is_unusable(body: bytes) -> None:
    with pytest.raises(UnusableBodyError):
        wire.parse_task(body)


def test_refusal_never_repeats_the_providers_words() -> None:
    answer = wire.parse_task(recording("failed"))

    assert answer == Refused(
        kind=RefusalKind.CONTENT, detail="task failed OutputVideoSensitiveContentDetected"
    )


def test_listing_gives_owner_and_time_of_each_task() -> None:
    page = wire.parse_page(recording("listing"))

    assert page.total == 3
    assert [(task.correlation_id, task.created_at) for task in page.tasks] == [
        ("att_2", 1772352005),
        ("att_1", 1772352000),
        ("", 1772351700),
    ]


def test_listing_may_be_called_data() -> None:
    assert wire.parse_page(b'{"data":[]}') == wire.Page(tasks=(), total=None)


@pytest.mark.parametrize("body", [b"{}", b'{"items":{}}', b'{"items":[1]}', b'{"items":[{"id":"cgt-1"}]}'])
def test_listing_with_odd_rows_is_unusable(body: bytes) -> None:
    with pytest.raises(UnusableBodyError):
        wire.parse_page(body)


def test_callback_claims_only_the_task() -> None:
    assert wire.parse_hint(recording("succeeded")) == Hint(task_id=TASK_ID, is_authentic=False)


@pytest.mark.parametrize("body", [b"", b"{", b"null", b'{"id":""}', b'{"id":"a/../b"}', b'{"id":".."}'])
def test_unusable_callback_claims_nothing(body: bytes) -> None:
    assert wire.parse_hint(body) is None
