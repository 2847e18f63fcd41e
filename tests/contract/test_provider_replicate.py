"""What is particular to Replicate: codes in sentences, results that go after an hour, a list that names no owner."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from services.upstream.callback_keys import FETCH_INTERVAL_SECONDS, KEPT_SECONDS_MAX, SKEW_SECONDS_MAX
from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    BusyError,
    Done,
    Hint,
    Order,
    Pending,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UnsearchableError,
)
from services.upstream.providers.replicate.adapter import (
    CREATED_MARGIN_SECONDS,
    LIST_PAGES_MAX,
    ReplicateProvider,
)
from tests.fakes.provider_server import Fault, Reply
from tests.fakes.replicate_server import API_KEY, Prediction, ReplicateServer, new_secret, problem

MODEL = "bytedance/seedance-2.0-mini"
CALLBACK_URL = "https://ours.example/callbacks/t.sig"
TEXT = Order(
    model=MODEL,
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
    prompt="Image 1 as in Video 1, not Image 2",
    image_urls=("https://c.example/a.png",),
    video_urls=("https://c.example/c.mp4",),
    audio_urls=("https://c.example/d.mp3",),
)
INPUT = {
    "prompt": "a boat in a storm",
    "duration": 4,
    "resolution": "480p",
    "aspect_ratio": "adaptive",
    "generate_audio": False,
    "seed": 7,
}


@dataclass
class Replicate:
    server: ReplicateServer
    provider: ReplicateProvider
    now: float = 1_772_352_000.0
    clock: float = 0.0

    async def submit(self, order: Order = TEXT, *, callback_url: str | None = CALLBACK_URL) -> str:
        return await self.provider.submit(
            order, correlation_id="att_1", callback_url=callback_url, timeout_seconds=5
        )

    async def find(self, *, created_after: float = 0.0) -> str | None:
        return await self.provider.find("att_1", model=MODEL, created_after=created_after, timeout_seconds=5)

    async def check(self, task_id: str = "p1") -> Pending | Done | Refused:
        return await self.provider.check(task_id, timeout_seconds=5)

    async def cancel(self, task_id: str) -> bool:
        return await self.provider.cancel(task_id, timeout_seconds=5)

    async def read(self, headers: dict[str, str], body: bytes) -> Hint | None:
        return await self.provider.read_callback(headers, body, model=MODEL)

    @property
    def only_prediction(self) -> Prediction:
        [prediction] = self.server.predictions.values()
        return prediction

    def key_fetches(self) -> int:
        return sum(seen.path.endswith("/secret") for seen in self.server.seen)


@pytest.fixture
async def replicate() -> AsyncIterator[Replicate]:
    async with ReplicateServer() as server, aiohttp.ClientSession() as session:
        provider = ReplicateProvider(
            session=session,
            base_url=server.base_url + "/",
            api_key=API_KEY,
            clock=lambda: made.clock,
            now=lambda: made.now,
        )
        made = Replicate(server=server, provider=provider)
        yield made


def reported(status: str, **more: Any) -> Reply:
    return Reply(body={"id": "p1", "status": status, "output": None, "error": None, **more})


def page(*models: str | None, next_url: str | None = None) -> Reply:
    return Reply(body={"next": next_url, "results": [{"id": "p", "model": model} for model in models]})


@pytest.mark.parametrize(
    ("order", "changed"),
    [
        (TEXT, {}),
        (FRAMES, {"image": "https://c.example/a.png", "last_frame_image": "https://c.example/b.png"}),
        (
            REFERENCES,
            {
                "prompt": "[Image1] as in [Video1], not Image 2",
                "reference_images": ["https://c.example/a.png"],
                "reference_videos": ["https://c.example/c.mp4"],
                "reference_audios": ["https://c.example/d.mp3"],
            },
        ),
    ],
    ids=["text", "frames", "references"],
)
async def test_an_order_is_written_as_its_model_takes_it(
    replicate: Replicate, order: Order, changed: dict[str, Any]
) -> None:
    task_id = await replicate.submit(order)

    made = replicate.only_prediction
    assert (made.id, made.model, made.webhook) == (task_id, MODEL, CALLBACK_URL)
    assert made.input == INPUT | changed


async def test_nobody_is_called_back_who_has_no_address(replicate: Replicate) -> None:
    await replicate.submit(callback_url=None)

    assert replicate.only_prediction.webhook is None


async def test_what_the_model_does_not_take_is_refused(replicate: Replicate) -> None:
    with pytest.raises(RefusedError) as caught:
        await replicate.submit(replace(TEXT, resolution="1080p"))

    assert caught.value.refused.kind is RefusalKind.PARAMETERS


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (401, BrokenCause.CREDENTIAL),
        (402, BrokenCause.QUOTA),
        (403, BrokenCause.CREDENTIAL),
        (404, BrokenCause.MODEL),
    ],
)
async def test_our_own_faults_ask_for_an_operator(
    replicate: Replicate, status: int, cause: BrokenCause
) -> None:
    replicate.server.will(problem(status, "words"))

    with pytest.raises(BrokenError) as caught:
        await replicate.submit()

    assert caught.value.cause is cause


@pytest.mark.parametrize("model", ["seedance", "a/b/c", "../x", "a/../b", ""])
async def test_a_model_that_is_no_name_is_sent_to_nobody(replicate: Replicate, model: str) -> None:
    with pytest.raises(BrokenError):
        await replicate.submit(replace(TEXT, model=model))

    assert replicate.server.seen == []


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (problem(429, "Request was throttled.", retry_after=30), 30),
        (problem(429, "Request was throttled.", retry_after=86_400), 300),
        (problem(429, "Request was throttled.", retry_after="soon"), None),
        (problem(429, "Request was throttled.", retry_after=True), None),
        (Reply(status=429, body=b"<html>", headers={"Retry-After": "7"}), 7),
    ],
)
async def test_who_is_throttled_is_told_when_to_come_back(
    replicate: Replicate, reply: Reply, seconds: float | None
) -> None:
    replicate.server.will(reply)

    with pytest.raises(BusyError) as caught:
        await replicate.submit()

    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("The input or output was flagged as sensitive. (E005) (AbCdEf)", RefusalKind.CONTENT),
        ("Invalid input (E006)", RefusalKind.PARAMETERS),
        ("Service is under high demand (E003)", RefusalKind.UNAVAILABLE),
        ("Prediction interrupted; please retry (E6716)", RefusalKind.UNAVAILABLE),
        ("Something else (E777)", RefusalKind.FAILED),
        ("E005 without brackets", RefusalKind.FAILED),
        (None, RefusalKind.FAILED),
    ],
)
async def test_the_code_in_a_sentence_says_why_a_task_failed(
    replicate: Replicate, error: str | None, kind: RefusalKind
) -> None:
    replicate.server.will(reported("failed", error=error))

    answer = await replicate.check()

    assert isinstance(answer, Refused)
    assert answer.kind is kind
    assert "sensitive" not in answer.detail


@pytest.mark.parametrize(
    "output", ["https://replicate.delivery/v.mp4", ["https://replicate.delivery/v.mp4", "x"]]
)
async def test_a_result_is_one_address_or_a_list(replicate: Replicate, output: object) -> None:
    replicate.server.will(reported("succeeded", output=output, completed_at="2026-08-01T10:01:00.000Z"))

    assert await replicate.check() == Done(
        video_url="https://replicate.delivery/v.mp4", ended_at=datetime(2026, 8, 1, 10, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"output": None}, RefusalKind.UNAVAILABLE),
        ({"output": []}, RefusalKind.UNAVAILABLE),
        ({"output": {"odd": 1}}, RefusalKind.UNAVAILABLE),
        ({"output": None, "data_removed": True}, RefusalKind.EXPIRED),
    ],
)
async def test_success_without_a_video_is_none(
    replicate: Replicate, more: dict[str, Any], kind: RefusalKind
) -> None:
    replicate.server.will(reported("succeeded", **more))

    answer = await replicate.check()

    assert isinstance(answer, Refused)
    assert answer.kind is kind


@pytest.mark.parametrize("status", ["canceled", "aborted"])
async def test_a_task_that_was_stopped_has_no_result(replicate: Replicate, status: str) -> None:
    replicate.server.will(reported(status))

    assert isinstance(await replicate.check(), Refused)


async def test_a_task_can_be_stopped_whether_it_runs_or_not_until_it_has_ended(replicate: Replicate) -> None:
    queued, running, done = [await replicate.submit() for _ in range(3)]
    replicate.server.predictions[running].status = "processing"
    replicate.server.predictions[done].complete()

    assert [await replicate.cancel(each) for each in (queued, queued, running, done)] == [
        True,
        True,
        True,
        False,
    ]
    assert await replicate.cancel("unknown")

    replicate.server.will(reported("processing"), reported("processing"))
    with pytest.raises(UnreachableError):
        await replicate.cancel(running)


async def test_a_search_is_sure_only_if_there_is_no_prediction_of_the_model(replicate: Replicate) -> None:
    replicate.server.accept("bytedance/seedance-2.0", {}, webhook=None)
    assert await replicate.find() is None

    replicate.server.will(Reply(fault=Fault.LOSE))
    with pytest.raises(UnknownError):
        await replicate.submit()
    with pytest.raises(UnsearchableError):
        await replicate.find()
    with pytest.raises(UnsearchableError):
        await replicate.provider.carries("p1", "att_1", timeout_seconds=5)

    [made] = [each for each in replicate.server.predictions.values() if each.model == MODEL]
    made.complete()
    hint = await replicate.read(*replicate.server.callback(made, at=replicate.now))
    assert hint == Hint(task_id=made.id, is_authentic=True)


async def test_a_search_reads_all_pages_from_a_while_before_the_order(replicate: Replicate) -> None:
    more = f"{replicate.server.base_url}/predictions?cursor=2"
    replicate.server.will(page("a/b", next_url=more), page("a/c"))

    assert await replicate.find(created_after=1_772_352_000 + CREATED_MARGIN_SECONDS) is None

    first, second = replicate.server.seen
    assert first.query == {"created_after": "2026-03-01T08:00:00Z"}
    assert second.query == {"cursor": "2"}


async def test_a_search_that_did_not_see_all_is_never_sure(replicate: Replicate) -> None:
    replicate.server.will(page(None))
    with pytest.raises(UnsearchableError):
        await replicate.find()

    replicate.server.will(page(next_url="http://127.0.0.2:1/v1/predictions?cursor=2"))
    with pytest.raises(UnreachableError):
        await replicate.find()

    more = f"{replicate.server.base_url}/predictions?cursor=2"
    replicate.server.will(*(page(next_url=more) for _ in range(LIST_PAGES_MAX)))
    with pytest.raises(UnreachableError):
        await replicate.find()


@pytest.mark.parametrize("skew", [-SKEW_SECONDS_MAX, SKEW_SECONDS_MAX])
async def test_a_callback_may_be_some_minutes_old(replicate: Replicate, skew: int) -> None:
    made = replicate.server.accept(MODEL, {}, webhook=None)
    headers, body = replicate.server.callback(made, at=replicate.now + skew)

    assert await replicate.read(headers, body) == Hint(task_id=made.id, is_authentic=True)
    assert await replicate.read(headers, body), "a callback that comes twice says the same"


@pytest.mark.parametrize(
    "spoilt",
    [{"webhook-timestamp": "1"}, {"webhook-timestamp": str(1_772_352_000 - SKEW_SECONDS_MAX - 1)}],
)
async def test_a_callback_that_cannot_be_genuine_costs_no_look_up_of_the_secret(
    replicate: Replicate, spoilt: dict[str, str]
) -> None:
    made = replicate.server.accept(MODEL, {}, webhook=None)
    headers, body = replicate.server.callback(made, at=replicate.now)

    assert await replicate.read(headers | spoilt, body) is None
    for name in headers:
        assert await replicate.read({each: headers[each] for each in headers if each != name}, body) is None

    assert replicate.key_fetches() == 0


@pytest.mark.parametrize("part", ["body", "webhook-id", "webhook-timestamp", "webhook-signature", "secret"])
async def test_every_part_of_a_callback_is_signed(replicate: Replicate, part: str) -> None:
    made = replicate.server.accept(MODEL, {}, webhook=None)
    secret = new_secret() if part == "secret" else None
    headers, body = replicate.server.callback(made, at=replicate.now, secret=secret)
    changed = {
        "body": {},
        "secret": {},
        "webhook-id": {"webhook-id": "msg_2"},
        "webhook-timestamp": {"webhook-timestamp": str(int(replicate.now) + 1)},
        "webhook-signature": {"webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")},
    }[part]

    assert await replicate.read(headers | changed, body + (b" " if part == "body" else b"")) is None


async def test_the_secret_is_kept_for_a_day_and_fetched_again_once_nothing_fits(replicate: Replicate) -> None:
    made = replicate.server.accept(MODEL, {}, webhook=None)

    async def is_believed(secret: str) -> bool:
        return (
            await replicate.read(*replicate.server.callback(made, at=replicate.now, secret=secret))
            is not None
        )

    old = replicate.server.secret
    assert await is_believed(old)
    assert await is_believed(old)
    assert replicate.key_fetches() == 1

    replicate.server.secret = new = new_secret()
    replicate.clock += FETCH_INTERVAL_SECONDS
    assert await is_believed(new)
    for _ in range(5):
        assert not await is_believed(new_secret())
    assert not await is_believed(old)
    assert replicate.key_fetches() == 2

    replicate.clock += KEPT_SECONDS_MAX
    assert await is_believed(new)
    assert replicate.key_fetches() == 3


@pytest.mark.parametrize(
    "reply", [problem(503, "words"), problem(401, "words"), Reply(body={"key": "whsec_%"})]
)
async def test_a_callback_is_not_judged_without_the_secret(replicate: Replicate, reply: Reply) -> None:
    headers, body = replicate.server.callback(
        replicate.server.accept(MODEL, {}, webhook=None), at=replicate.now
    )
    replicate.server.will(reply)

    for _ in range(3):
        with pytest.raises(UnreachableError):
            await replicate.read(headers, body)

    assert replicate.key_fetches() == 1
