"""Bad input: each is refused in words that name the field, the value and what is allowed, and leaves nothing behind."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.customer import SMALL, VIDEOS, Customer, open_customer
from tests.e2e.edge.client import assert_not_found, assert_refused
from tests.e2e.local_stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREDITS_GRANTED = 10_000
CHUNK_BYTES = 32 * 1024
URL = "https://example.com/a.png"
FRAMES = "first_and_last_frames"
RATIOS = "16:9, 4:3, 1:1, 3:4, 9:16, 21:9, adaptive"
VALID: dict[str, Any] = {"model": "mini", "input": {"prompt": "waves"}}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def open_account(stack: Stack) -> AsyncIterator[Customer]:
    account = stack.create_account("refusals", credits_each=str(CREDITS_GRANTED))
    async with open_customer(stack.edge, account.keys["live"]) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def customer(open_account: Customer) -> AsyncIterator[Customer]:
    """A customer who is refused whatever a test asks for: afterwards nothing is stored and nothing is held."""
    yield open_account
    assert await open_account.get(VIDEOS) == []
    assert await open_account.get("/v1/balance") == {"available": CREDITS_GRANTED, "held": 0}


def with_input(**fields: Any) -> dict[str, Any]:
    return {**VALID, "input": {**VALID["input"], **fields}}


def with_frames(**fields: Any) -> dict[str, Any]:
    return with_input(generation_type=FRAMES, **fields)


def frame_missing(field: str) -> str:
    rule = f"is required with generation_type {FRAMES}, unless input.image_urls holds the 2 frames"
    return f"Field {field} {rule}."


def private(field: str, url: str) -> str:
    return f'Field {field} must not point to a private address. It was "{url}".'


def not_http(field: str, url: str) -> str:
    return f'Field {field} must be an http or https address. It was "{url}".'


def data_url(field: str, shown: str) -> str:
    advice = "upload the file with POST /v1/uploads, and name its url"
    return f'Field {field} must be an http or https address, not the file itself: {advice}. It was "{shown}".'


def out_of_range(field: str, value: int, first: int, last: int) -> str:
    rule = f"must be greater than or equal to {first} and less than or equal to {last}"
    return f"Field {field} {rule}. It was {value}."


METADATA_URL = "http://169.254.169.254/latest/meta-data"
LONG_URL = URL + "?" + "a" * 2048
BAD_BODIES: dict[str, tuple[Any, str]] = {
    "nothing": ({}, "Field model is required and must not be empty."),
    "no model": ({"input": {"prompt": "waves"}}, "Field model is required and must not be empty."),
    "no input": ({"model": "mini"}, "Field input is required."),
    "no prompt": ({"model": "mini", "input": {}}, "Field input.prompt is required and must not be empty."),
    "blank prompt": (with_input(prompt=" \n"), "Field input.prompt must not be blank."),
    "long prompt": (
        with_input(prompt="p" * 10_001),
        f'Field input.prompt must be at most 10000 characters. It was "{"p" * 99}….',
    ),
    "model as number": ({**VALID, "model": 5}, "Field model must be a text. It was the number 5."),
    "input as text": (
        {"model": "mini", "input": "waves"},
        'Field input must be an object. It was the text "waves".',
    ),
    "prompt as number": (with_input(prompt=5), "Field input.prompt must be a text. It was the number 5."),
    "duration as text": (
        with_input(duration="five"),
        'Field input.duration must be a whole number. It was the text "five".',
    ),
    "duration as fraction": (
        with_input(duration=4.5),
        "Field input.duration must be a whole number. It was the number 4.5.",
    ),
    "duration 3": (with_input(duration=3), out_of_range("input.duration", 3, 4, 15)),
    "duration 16": (with_input(duration=16), out_of_range("input.duration", 16, 4, 15)),
    "duration 0": (with_input(duration=0), out_of_range("input.duration", 0, 4, 15)),
    "1080p on mini": (
        with_input(resolution="1080p"),
        'Field input.resolution must be one of 480p, 720p for model mini. It was "1080p".',
    ),
    "1080p on fast": (
        {**with_input(resolution="1080p"), "model": "fast"},
        'Field input.resolution must be one of 480p, 720p for model fast. It was "1080p".',
    ),
    "4k": (
        with_input(resolution="4k"),
        'Field input.resolution must be one of 480p, 720p, 1080p. It was "4k".',
    ),
    "bad ratio": (
        with_input(aspect_ratio="2:1"),
        f'Field input.aspect_ratio must be one of {RATIOS}. It was "2:1".',
    ),
    "bad type": (
        with_input(generation_type="magic"),
        f'Field input.generation_type must be one of omni_reference, {FRAMES}. It was "magic".',
    ),
    "audio as number": (
        with_input(generate_audio=1),
        "Field input.generate_audio must be true or false. It was the number 1.",
    ),
    "negative seed": (
        with_input(seed=-1),
        "Field input.seed must be greater than or equal to 0. It was -1.",
    ),
    "large seed": (
        with_input(seed=2**31),
        f"Field input.seed must be a whole number from 0 to {2**31 - 1}. It was the number {2**31}.",
    ),
    "10 images": (
        with_input(image_urls=[URL] * 10),
        "Field input.image_urls must contain no more than 9 item(s); it had 10.",
    ),
    "4 videos": (
        with_input(video_urls=[URL] * 4),
        "Field input.video_urls must contain no more than 3 item(s); it had 4.",
    ),
    "4 sounds": (
        with_input(audio_urls=[URL] * 4),
        "Field input.audio_urls must contain no more than 3 item(s); it had 4.",
    ),
    "both videos": (
        with_input(video_url=URL, video_urls=[URL]),
        "Field input.video_url cannot be sent together with input.video_urls.",
    ),
    "sound alone": (
        with_input(audio_urls=[URL]),
        "Field input.audio_urls needs at least one reference image or video beside it.",
    ),
    "frames without images": (
        with_frames(),
        frame_missing("input.start_image_url"),
    ),
    "frames without end": (
        with_frames(start_image_url=URL),
        frame_missing("input.end_image_url"),
    ),
    "one frame": (
        with_frames(image_urls=[URL]),
        f"Field input.image_urls must hold exactly 2 images with generation_type {FRAMES}; it had 1.",
    ),
    "three frames": (
        with_frames(image_urls=[URL] * 3),
        f"Field input.image_urls must hold exactly 2 images with generation_type {FRAMES}; it had 3.",
    ),
    "frames twice": (
        with_frames(image_urls=[URL] * 2, start_image_url=URL, end_image_url=URL),
        "Field input.image_urls cannot be combined with input.start_image_url and input.end_image_url.",
    ),
    "frames with video": (
        with_frames(start_image_url=URL, end_image_url=URL, video_url=URL),
        f"Field input.video_url cannot be combined with generation_type {FRAMES}.",
    ),
    "frames of the wrong type": (
        with_input(start_image_url=URL, end_image_url=URL),
        f"Field input.start_image_url is only allowed with generation_type {FRAMES}.",
    ),
    "callback over ftp": (
        {**VALID, "callback_url": "ftp://example.com/hook"},
        not_http("callback_url", "ftp://example.com/hook"),
    ),
    "callback in private": (
        {**VALID, "callback_url": "https://10.0.0.1/hook"},
        private("callback_url", "https://10.0.0.1/hook"),
    ),
    "callback to the cloud": ({**VALID, "callback_url": METADATA_URL}, private("callback_url", METADATA_URL)),
    "long callback": (
        {**VALID, "callback_url": LONG_URL},
        f'Field callback_url must be at most 2048 characters. It was "{LONG_URL[:99]}….',
    ),
    "image in private": (
        with_input(image_urls=[URL, "http://192.168.1.1/a.png"]),
        private("input.image_urls[1]", "http://192.168.1.1/a.png"),
    ),
    "image as data": (
        with_input(image_urls=["data:image/png;base64,AA=="]),
        data_url("input.image_urls[0]", "data:image/png;base64,AA=="),
    ),
    "video as long data": (
        with_input(video_url="data:video/mp4;base64," + "A" * 4_000),
        data_url("input.video_url", f"data:video/mp4;base64,{'A' * 77}…").removesuffix('".') + ".",
    ),
    "image in a foreign format": (
        with_input(image_urls=[f"{URL}.heic"]),
        (
            "Field input.image_urls[0] must be an image in JPEG, PNG, WebP, BMP, TIFF or GIF: HEIC is not accepted."
            f' Export the photo as JPEG. It was "{URL}.heic".'
        ),
    ),
    "frame of the cloud": (
        with_frames(start_image_url=URL, end_image_url=METADATA_URL),
        private("input.end_image_url", METADATA_URL),
    ),
    "video in private": (
        with_input(video_url="http://[fd00::1]/a.mp4"),
        private("input.video_url", "http://[fd00::1]/a.mp4"),
    ),
    "videos as file": (
        with_input(video_urls=["file:///etc/passwd"]),
        not_http("input.video_urls[0]", "file:///etc/passwd"),
    ),
    "sound in private": (
        with_input(image_urls=[URL], audio_urls=["http://172.16.0.1/a.mp3"]),
        private("input.audio_urls[0]", "http://172.16.0.1/a.mp3"),
    ),
    "metadata as text": (
        {**VALID, "metadata": "text"},
        'Field metadata must be an object. It was the text "text".',
    ),
    "large metadata": (
        {**VALID, "metadata": {"a": "é" * 8192}},
        f"Field metadata must be at most 16384 bytes of JSON; it had {8192 * 2 + 8}.",
    ),
    "deep metadata": (
        {**VALID, "metadata": {"a": {"b": {"c": {"d": {"e": {}}}}}}},
        "Field metadata must be at most 5 levels deep.",
    ),
    "deep lists": ({**VALID, "metadata": {"a": [[[[[]]]]]}}, "Field metadata must be at most 5 levels deep."),
    "list": ([VALID], "The request body must be a JSON object. It was a list."),
}


@pytest.mark.parametrize("case", BAD_BODIES)
async def test_a_bad_creation_is_refused(customer: Customer, case: str) -> None:
    body, message = BAD_BODIES[case]

    answer = await customer.send("POST", VIDEOS, body)

    assert_refused(answer, 400, message)


async def test_an_unknown_model_is_not_found(customer: Customer) -> None:
    answer = await customer.send("POST", VIDEOS, {**VALID, "model": "ultra"})

    message = 'There is no model "ultra". Use one of: pro, fast, mini.'
    assert_refused(answer, 404, message, code="model_not_found")


NOT_JSON = "The request body is not valid JSON at line 1, column "
BAD_BYTES = {
    b"": "Field model is required and must not be empty.",
    b"{": f"{NOT_JSON}2: it ends too early.",
    b'{"model": mini}': f"{NOT_JSON}11: a value must stand here.",
    json.dumps(VALID).encode()
    + b"}": f"{NOT_JSON}{len(json.dumps(VALID)) + 1}: nothing may follow the object.",
    b'{"model": "\xff"}': f"{NOT_JSON}12: this is not UTF-8.",
    b"null": "Field model is required and must not be empty.",
}


@pytest.mark.parametrize("raw", BAD_BYTES)
async def test_a_body_that_is_not_json_is_refused(customer: Customer, raw: bytes) -> None:
    answer = await customer.send("POST", VIDEOS, raw=raw)

    assert_refused(answer, 400, BAD_BYTES[raw])


async def in_chunks(raw: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(raw), CHUNK_BYTES):
        yield raw[start : start + CHUNK_BYTES]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_300_kib_is_too_large(customer: Customer, *, chunked: bool) -> None:
    raw = json.dumps({**VALID, "metadata": {"a": "a" * 300 * 1024}}).encode()

    answer = await customer.send("POST", VIDEOS, raw=in_chunks(raw) if chunked else raw)

    assert_refused(
        answer,
        413,
        "The request body must be at most 256 KiB. Send files with POST /v1/uploads, and name their addresses.",
        code="request_too_large",
    )


VIDEO = f"{VIDEOS}/vid_01jz8b7q4x8k2p9w3m5c6n7r8s"
MOMENT_RULE = "must be an ISO 8601 date and time with a time zone, such as 2026-07-01T00:00:00.000Z"
BAD_QUERIES = {
    f"{VIDEOS}?limit=0": out_of_range("limit", 0, 1, 100),
    f"{VIDEOS}?limit=101": out_of_range("limit", 101, 1, 100),
    f"{VIDEOS}?limit=-1": out_of_range("limit", -1, 1, 100),
    f"{VIDEOS}?limit=abc": 'Field limit must be a whole number. It was "abc".',
    f"{VIDEOS}?status=done": (
        'Field status must be one of pending, processing, completed, failed. It was "done".'
    ),
    f"{VIDEOS}?after=vid_1": 'Field after must be the id of a task. It was "vid_1".',
    f"{VIDEOS}?foo=1": 'Unknown query parameter "foo". Allowed: after, limit, status.',
    f"{VIDEO}?id=vid_01jz8b7q4x8k2p9w3m5c6n7r8t": 'Unknown query parameter "id". Allowed: wait.',
    "/v1/models?limit=1": 'Unknown query parameter "limit". Allowed: none.',
    "/v1/usage?from=1": 'Unknown query parameter "from". Allowed: end, limit, start.',
    "/v1/usage?limit=0": out_of_range("limit", 0, 1, 365),
    "/v1/usage?limit=366": out_of_range("limit", 366, 1, 365),
    "/v1/usage?start=yesterday": f'Field start {MOMENT_RULE}. It was "yesterday".',
    "/v1/usage?end=2026-07-01T00:00:00": f'Field end {MOMENT_RULE}. It was "2026-07-01T00:00:00".',
    "/v1/usage?start=2026-07-02T00:00:00Z&end=2026-07-01T00:00:00Z": (
        "Field start must not be after the end of the range, 2026-07-01T00:00:00.000Z. "
        'It was "2026-07-02T00:00:00Z".'
    ),
}


@pytest.mark.parametrize("path", BAD_QUERIES)
async def test_a_bad_query_is_refused(customer: Customer, path: str) -> None:
    assert_refused(await customer.send("GET", path), 400, BAD_QUERIES[path])


@pytest.mark.parametrize("video_id", ["vid_01jz8b7q4x8k2p9w3m5c6n7r8s", "vid_1", "job_1", "x" * 64])
async def test_an_unknown_video_is_not_found(customer: Customer, video_id: str) -> None:
    answer = await customer.send("GET", f"{VIDEOS}/{video_id}")

    assert_refused(answer, 404, f'There is no task "{video_id}".', code="task_not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", VIDEOS),
        ("PATCH", VIDEO),
        ("POST", VIDEO),
        ("POST", "/v1/models"),
        ("GET", "/v1/video"),
        ("GET", "/v1/videos"),
        ("GET", f"{VIDEOS}/"),
        ("GET", "/v2/models"),
        ("GET", "/index.html"),
    ],
)
async def test_a_wrong_method_or_path_is_not_found(customer: Customer, method: str, path: str) -> None:
    assert_not_found(await customer.send(method, path))


async def test_without_enough_credits_nothing_begins(stack: Stack) -> None:
    account = stack.create_account("poor", credits_each="19.999999")
    async with open_customer(stack.edge, account.keys["live"]) as poor:
        answer = await poor.send("POST", VIDEOS, with_input(**SMALL))

        message = "This task needs 20 credits; 19.999999 are available. Please top up."
        assert_refused(answer, 402, message, code="insufficient_credits", kind="billing_error")
        assert await poor.get(VIDEOS) == []
        assert await poor.get("/v1/balance") == {"available": 19.999999, "held": 0}
