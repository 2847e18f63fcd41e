"""What is particular to fal: three endpoints a model, its two envelopes of errors, results that alone tell how a task ended."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.upstream.callback_keys import FETCH_INTERVAL_SECONDS, KEPT_SECONDS_MAX, SKEW_SECONDS_MAX
from services.upstream.provider import (
    BadReference,
    BrokenCause,
    BrokenError,
    BusyError,
    Done,
    Hint,
    Order,
    Pending,
    ReferenceFault,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UnsearchableError,
)
from services.upstream.providers.fal.adapter import FalProvider
from tests.fakes.fal_server import API_KEY, APP, FalServer, Request, jwks, signed
from tests.fakes.provider_server import Fault, Reply

CALLBACK_URL = "https://ours.example/callbacks/t.sig?a=b&c"
TEXT = Order(
    model=f"{APP}/mini",
    prompt="a boat in a storm",
    duration_seconds=4,
    resolution="480p",
    aspect_ratio="adaptive",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
)
FRAMES = replace(TEXT, start_image_url="https://c.example/a.png", end_image_url="https://c.example/b.png")
REFERENCES = replace(
    TEXT,
    model=APP,
    prompt="Image 1 beside Image2 as in Video 1; Image 3, Audio 1 and Images 1 stay",
    image_urls=("https://c.example/a.png", "https://c.example/b.png"),
    video_urls=("https://c.example/c.mp4",),
)


@dataclass
class Fal:
    server: FalServer
    provider: FalProvider
    now: float = 1_772_352_000.0
    clock: float = 0.0

    async def submit(self, order: Order = TEXT) -> str:
        return await self.provider.submit(
            order, correlation_id="att_1", callback_url=CALLBACK_URL, timeout_seconds=5
        )

    async def check(self, task_id: str) -> Pending | Done | Refused:
        return await self.provider.check(task_id, timeout_seconds=5)

    async def completed(self, result: Reply | None = None) -> str:
        """Returns a task that has ended with a result."""
        task_id = await self.submit()
        self.only_request.complete(result)
        return task_id

    async def read(self, headers: dict[str, str], body: bytes) -> Hint | None:
        return await self.provider.read_callback(headers, body, model=TEXT.model)

    @property
    def only_request(self) -> Request:
        [request] = self.server.requests.values()
        return request

    def key_fetches(self) -> int:
        return sum(seen.path.endswith("jwks.json") for seen in self.server.seen)


@pytest.fixture
async def fal() -> AsyncIterator[Fal]:
    async with FalServer() as server, aiohttp.ClientSession() as session:
        provider = FalProvider(
            session=session,
            base_url=server.base_url + "/",
            api_key=API_KEY,
            keys_url=server.keys_url,
            clock=lambda: made.clock,
            now=lambda: made.now,
        )
        made = Fal(server=server, provider=provider)
        yield made


def failed(status: int, kind: str, *, retryable: str = "", loc: tuple[str | int, ...] = ("body",)) -> Reply:
    headers = {"X-Fal-Retryable": retryable} if retryable else {}
    return Reply(
        status=status, body={"detail": [{"loc": list(loc), "msg": "words", "type": kind}]}, headers=headers
    )


def request_error(status: int, kind: str, **headers: str) -> Reply:
    return Reply(status=status, body={"detail": "words", "error_type": kind}, headers=headers)


@pytest.mark.parametrize(
    ("order", "endpoint", "media"),
    [
        (TEXT, f"{APP}/mini/text-to-video", {}),
        (
            FRAMES,
            f"{APP}/mini/image-to-video",
            {"image_url": "https://c.example/a.png", "end_image_url": "https://c.example/b.png"},
        ),
        (
            REFERENCES,
            f"{APP}/reference-to-video",
            {
                "image_urls": ["https://c.example/a.png", "https://c.example/b.png"],
                "video_urls": ["https://c.example/c.mp4"],
            },
        ),
    ],
    ids=["text", "frames", "references"],
)
async def test_an_order_goes_to_the_endpoint_of_its_form(
    fal: Fal, order: Order, endpoint: str, media: dict[str, Any]
) -> None:
    task_id = await fal.submit(order)

    request = fal.only_request
    prompt = request.input.pop("prompt")
    assert (request.endpoint, request.webhook) == (endpoint, CALLBACK_URL)
    assert request.input == media | {
        "resolution": "480p",
        "duration": "4",
        "aspect_ratio": "auto",
        "generate_audio": False,
    }
    assert task_id == f"{APP}/requests/{request.request_id}"
    if order is REFERENCES:
        assert prompt == "@Image1 beside @Image2 as in @Video1; Image 3, Audio 1 and Images 1 stay"


async def test_a_task_is_asked_about_where_fal_says_if_that_is_its_own_api(fal: Fal) -> None:
    address = f"{fal.server.base_url}/renamed/app/requests/r-1"
    elsewhere = "http://127.0.0.2:1/renamed/app/requests/r-1"
    fal.server.will(
        *(
            Reply(body={"request_id": "r-1", "response_url": url})
            for url in (address, elsewhere, f"{address}/x")
        )
    )

    assert await fal.submit() == "renamed/app/requests/r-1"
    assert await fal.submit() == f"{APP}/requests/r-1"
    assert await fal.submit() == f"{APP}/requests/r-1"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (failed(422, "content_policy_violation"), RefusalKind.CONTENT),
        (failed(422, "file_download_error"), RefusalKind.INPUT_MEDIA),
        (failed(422, "one_of"), RefusalKind.PARAMETERS),
        (failed(422, "something_new"), RefusalKind.PARAMETERS),
        (request_error(400, "bad_request"), RefusalKind.PARAMETERS),
    ],
)
async def test_a_refused_order_says_why(fal: Fal, reply: Reply, kind: RefusalKind) -> None:
    fal.server.will(reply)

    with pytest.raises(RefusedError) as caught:
        await fal.submit()

    assert caught.value.refused.kind is kind
    assert "words" not in caught.value.detail


@pytest.mark.parametrize(
    ("status", "detail", "cause"),
    [
        (401, "No key", BrokenCause.CREDENTIAL),
        (403, "Not allowed", BrokenCause.CREDENTIAL),
        (403, "User is locked. Reason: Exhausted balance. Top up your balance.", BrokenCause.QUOTA),
        (402, "Pay", BrokenCause.QUOTA),
        (404, "Application 'x' not found", BrokenCause.MODEL),
    ],
)
async def test_our_own_faults_ask_for_an_operator(
    fal: Fal, status: int, detail: str, cause: BrokenCause
) -> None:
    fal.server.will(Reply(status=status, body={"detail": detail}))

    with pytest.raises(BrokenError) as caught:
        await fal.submit()

    assert caught.value.cause is cause


async def test_a_full_queue_asks_to_come_back(fal: Fal) -> None:
    fal.server.will(Reply(status=429, body={"detail": "Too many"}, headers={"Retry-After": "7"}))

    with pytest.raises(BusyError) as caught:
        await fal.submit()

    assert caught.value.retry_after_seconds == 7


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (request_error(503, "runner_scheduling_failure"), UnreachableError),
        (request_error(500, "internal_error"), UnreachableError),
        (request_error(503, "runner_scheduling_failure", **{"x-fal-request-id": "r-1"}), UnknownError),
        (request_error(503, "something_new"), UnknownError),
        (Reply(status=502, body=b"<html>"), UnknownError),
        (Reply(status=200, body={"status": "IN_QUEUE"}), UnknownError),
    ],
)
async def test_a_failure_of_the_queue_itself_is_told_from_doubt(
    fal: Fal, reply: Reply, error: type[Exception]
) -> None:
    fal.server.will(reply)

    with pytest.raises(error):
        await fal.submit()

    assert len(fal.server.seen) == 1


async def test_a_completed_task_is_what_its_result_says(fal: Fal) -> None:
    task_id = await fal.completed()

    answer = await fal.check(task_id)

    assert isinstance(answer, Done)
    assert answer.video_url.startswith("https://v3.fal.media/")


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (failed(422, "content_policy_violation", retryable="true"), RefusalKind.CONTENT),
        (failed(422, "no_media_generated"), RefusalKind.FAILED),
        (failed(422, "image_load_error"), RefusalKind.INPUT_MEDIA),
        (failed(422, "feature_not_supported"), RefusalKind.PARAMETERS),
        (failed(422, "something_new"), RefusalKind.FAILED),
        (failed(422, "something_new", retryable="true"), RefusalKind.UNAVAILABLE),
        (failed(500, "internal_server_error"), RefusalKind.UNAVAILABLE),
        (failed(500, "internal_server_error", retryable="false"), RefusalKind.FAILED),
        (failed(400, "downstream_service_error"), RefusalKind.UNAVAILABLE),
        (failed(504, "generation_timeout", retryable="true"), RefusalKind.UNAVAILABLE),
        (request_error(504, "request_timeout"), RefusalKind.UNAVAILABLE),
        (
            request_error(504, "request_timeout", **{"x-fal-request-timeout-type": "user"}),
            RefusalKind.EXPIRED,
        ),
        (request_error(499, "client_cancelled"), RefusalKind.FAILED),
        (
            Reply(status=500, body=b"oops", headers={"x-fal-error-type": "internal_error"}),
            RefusalKind.UNAVAILABLE,
        ),
        (Reply(status=500, body=b"oops", headers={"x-fal-request-id": "r"}), RefusalKind.UNAVAILABLE),
        (Reply(status=400, body={"detail": "words"}), RefusalKind.FAILED),
        (Reply(body={"seed": 7}), RefusalKind.UNAVAILABLE),
        (Reply(status=404, body={"detail": "Request not found"}), RefusalKind.EXPIRED),
    ],
)
async def test_a_completed_task_may_have_failed(fal: Fal, result: Reply, kind: RefusalKind) -> None:
    task_id = await fal.completed(result)

    answer = await fal.check(task_id)

    assert isinstance(answer, Refused)
    assert answer.kind is kind


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_result_that_is_not_there_yet_is_no_failure(fal: Fal, status: int) -> None:
    task_id = await fal.completed(Reply(status=status, body={"detail": "Request is still in progress"}))

    assert await fal.check(task_id) == Pending(running=True)


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (Reply(status=502, body=b"<html>"), UnreachableError),
        (Reply(status=401, body={"detail": "No key"}), BrokenError),
        (Reply(status=429, body={"detail": "Slower"}), BusyError),
        (Reply(body=b"<html>"), UnreachableError),
        (Reply(status=404, body=b"<html>"), BrokenError),
    ],
)
async def test_an_answer_that_is_not_the_models_ends_no_task(
    fal: Fal, result: Reply, error: type[Exception]
) -> None:
    task_id = await fal.completed(result)

    with pytest.raises(error):
        await fal.check(task_id)


@pytest.mark.parametrize(
    ("kind", "loc", "reference"),
    [
        (
            "file_download_error",
            ("body", "image_urls", 1),
            BadReference(position=1, is_image=True, fault=ReferenceFault.NOT_FETCHED),
        ),
        (
            "image_too_small",
            ("body", "end_image_url"),
            BadReference(position=1, is_image=True, fault=ReferenceFault.OUT_OF_BOUNDS),
        ),
        (
            "video_duration_too_long",
            ("body", "video_urls", 0),
            BadReference(fault=ReferenceFault.OUT_OF_BOUNDS),
        ),
        ("face_detection_error", ("body",), BadReference()),
    ],
)
async def test_a_file_that_cannot_be_used_is_named(
    fal: Fal, kind: str, loc: tuple[str | int, ...], reference: BadReference
) -> None:
    task_id = await fal.completed(failed(422, kind, loc=loc))

    answer = await fal.check(task_id)

    assert isinstance(answer, Refused)
    assert answer.reference == reference


async def test_stopping_a_queued_task_is_believed_when_it_is_seen(fal: Fal) -> None:
    stopped = await fal.submit()

    assert await fal.provider.cancel(stopped, timeout_seconds=5)
    assert await fal.provider.cancel(stopped, timeout_seconds=5)

    still_queued = [Reply(body={"status": "IN_QUEUE"}), Reply(status=202), Reply(body={"status": "IN_QUEUE"})]
    fal.server.will(*still_queued)
    with pytest.raises(UnreachableError):
        await fal.provider.cancel(stopped, timeout_seconds=5)


async def test_a_running_task_is_left_alone_because_it_may_be_billed(fal: Fal) -> None:
    task_id = await fal.submit()
    fal.only_request.status = "IN_PROGRESS"

    assert not await fal.provider.cancel(task_id, timeout_seconds=5)

    assert [seen.method for seen in fal.server.seen] == ["POST", "GET"]


async def test_a_lost_submission_cannot_be_searched_for(fal: Fal) -> None:
    fal.server.will(Reply(fault=Fault.LOSE))
    with pytest.raises(UnknownError):
        await fal.submit()

    with pytest.raises(UnsearchableError):
        await fal.provider.find("att_1", model=TEXT.model, created_after=0, timeout_seconds=5)
    with pytest.raises(UnsearchableError):
        await fal.provider.carries("x/y/requests/z", "att_1", timeout_seconds=5)

    fal.only_request.complete()
    hint = await fal.read(*fal.server.callback(fal.only_request, at=fal.now))
    assert hint == Hint(task_id=f"{APP}/requests/{fal.only_request.request_id}", is_authentic=True)
    assert isinstance(await fal.check(hint.task_id), Done)


async def test_the_credential_goes_to_the_queue_alone(fal: Fal) -> None:
    request = fal.server.accept(f"{APP}/text-to-video", {}, webhook=None)

    await fal.read(*fal.server.callback(request, at=fal.now))

    [seen] = fal.server.seen
    assert seen.path.endswith("jwks.json")
    assert "authorization" not in seen.headers


@pytest.mark.parametrize("skew", [-SKEW_SECONDS_MAX, SKEW_SECONDS_MAX])
async def test_a_callback_may_be_as_old_as_fal_says(fal: Fal, skew: int) -> None:
    headers, body = fal.server.callback(fal.server.accept(APP, {}, webhook=None), at=fal.now + skew)

    assert await fal.read(headers, body)
    assert await fal.read(headers, body), "a callback that comes twice says the same"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"x-fal-webhook-timestamp": "1"},
        {"x-fal-webhook-timestamp": str(1_772_352_000 + SKEW_SECONDS_MAX + 1)},
        {"x-fal-webhook-timestamp": "soon"},
        {"x-fal-webhook-signature": "zz"},
        {"x-fal-webhook-signature": ""},
    ],
)
async def test_a_callback_that_cannot_be_genuine_costs_no_look_up_of_keys(
    fal: Fal, spoilt: dict[str, str]
) -> None:
    headers, body = fal.server.callback(fal.server.accept(APP, {}, webhook=None), at=fal.now)

    assert await fal.read(headers | spoilt, body) is None
    for name in headers:
        assert await fal.read({each: headers[each] for each in headers if each != name}, body) is None

    assert fal.key_fetches() == 0


@pytest.mark.parametrize(
    "part", ["body", "x-fal-webhook-request-id", "x-fal-webhook-user-id", "key", "timestamp"]
)
async def test_every_part_of_a_callback_is_signed(fal: Fal, part: str) -> None:
    request = fal.server.accept(APP, {}, webhook=None)
    key = Ed25519PrivateKey.generate() if part == "key" else None
    headers, body = fal.server.callback(request, at=fal.now, key=key)
    if part == "body":
        body = body.replace(b'"g"', b'"h"')
    elif part == "timestamp":
        headers["x-fal-webhook-timestamp"] = str(int(fal.now) + 1)
    elif part in headers:
        headers[part] += "x"

    assert await fal.read(headers, body) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"request_id": "../x"}', b'{"request_id": 7}'])
async def test_a_genuine_callback_that_names_no_task_says_nothing(fal: Fal, body: bytes) -> None:
    headers = signed(body, request_id="r", at=fal.now, key=fal.server.key)

    assert await fal.read(headers, body) is None


async def test_keys_are_kept_for_a_day_and_fetched_again_for_an_unknown_one(fal: Fal) -> None:
    request = fal.server.accept(APP, {}, webhook=None)

    async def is_believed(key: Ed25519PrivateKey) -> bool:
        return await fal.read(*fal.server.callback(request, at=fal.now, key=key)) is not None

    old, fal.clock = fal.server.key, 100.0
    assert await is_believed(old)
    assert await is_believed(old)
    assert fal.key_fetches() == 1

    fal.server.key = new = Ed25519PrivateKey.generate()
    fal.clock += FETCH_INTERVAL_SECONDS
    assert await is_believed(new)
    assert not await is_believed(old)
    for _ in range(5):
        assert not await is_believed(Ed25519PrivateKey.generate()), "made up"
    assert fal.key_fetches() == 2, "whoever makes keys up makes us ask once a minute at most"

    fal.clock += KEPT_SECONDS_MAX
    assert await is_believed(new)
    assert fal.key_fetches() == 3


@pytest.mark.parametrize("reply", [Reply(status=503), Reply(body={"keys": []}), Reply(fault=Fault.RESET)])
async def test_a_callback_is_not_judged_without_keys(fal: Fal, reply: Reply) -> None:
    headers, body = fal.server.callback(fal.server.accept(APP, {}, webhook=None), at=fal.now)
    fal.server.will(
        *([reply] * (2 if reply.fault else 1))
    )  # a GET may be sent again on a connection that died

    for _ in range(3):
        with pytest.raises(UnreachableError):
            await fal.read(headers, body)
    assert fal.key_fetches() <= 2

    fal.clock += FETCH_INTERVAL_SECONDS
    fal.server.will(
        Reply(
            body={
                "keys": [
                    {"crv": "P-256"},
                    "odd",
                    {"crv": "Ed25519", "x": "short"},
                    *jwks(fal.server.key)["keys"],
                ]
            }
        )
    )
    assert await fal.read(headers, body)
