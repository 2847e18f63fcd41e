"""What every provider's adapter owes the port, whatever the provider's own words for it are."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest

from services.upstream.provider import (
    BrokenError,
    BusyError,
    Done,
    Order,
    Pending,
    Provider,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UpstreamError,
)
from services.upstream.providers.ark.adapter import ArkProvider
from tests.fakes.ark_server import ArkServer, Fault, Reply
from tests.patience import PATIENCE_SECONDS

Call = Callable[..., Awaitable[object]]
RECORDINGS = Path(__file__).parents[1] / "recordings"
ORDER = Order(
    model="dreamina-seedance-2-0-mini-260615",
    prompt="a boat in a storm",
    duration_seconds=4,
    resolution="480p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
)


class Stage(Protocol):
    """A provider that can be told how to behave next, in words that fit every provider."""

    provider: Provider
    task_id: str
    correlation_id: str
    created_at: float

    def accepts(self) -> None: ...
    def refuses_parameters(self) -> None: ...
    def refuses_content(self) -> None: ...
    def is_busy(self) -> None: ...
    def rejects_our_credential(self) -> None: ...
    def is_out_of_money(self) -> None: ...
    def loses_the_answer(self) -> None: ...
    def never_answers(self) -> None: ...
    def answers_garbage(self) -> None: ...
    def fails_inside(self) -> None: ...
    async def is_down(self) -> None: ...
    def lists_the_task(self) -> None: ...
    def lists_nothing(self) -> None: ...
    def reports(self, state: str) -> None: ...
    def forgot_the_task(self) -> None: ...
    def stops_a_queued_task(self) -> None: ...
    def refuses_to_stop(self) -> None: ...
    def loses_the_answer_to_a_stop(self) -> None: ...
    def request_count(self) -> int: ...


@dataclass
class ArkStage:
    server: ArkServer
    provider: Provider
    task_id: str = "cgt-20260301080000-a1b2c"
    correlation_id: str = "att_1"
    created_at: float = 1772352000

    def accepts(self) -> None:
        self.server.will(Reply(body=self._recording("created")))

    def refuses_parameters(self) -> None:
        self.server.will(Reply(status=400, body=self._recording("error")))

    def refuses_content(self) -> None:
        self._will_fail(400, "InputTextSensitiveContentDetected")

    def is_busy(self) -> None:
        self._will_fail(429, "ServerOverloaded")

    def rejects_our_credential(self) -> None:
        self._will_fail(401, "AuthenticationError")

    def is_out_of_money(self) -> None:
        self._will_fail(403, "AccountOverdueError")

    def loses_the_answer(self) -> None:
        self.server.will(Reply(fault=Fault.RESET))

    def never_answers(self) -> None:
        self.server.will(Reply(fault=Fault.STALL))

    def answers_garbage(self) -> None:
        self.server.will(Reply(body=b"<html>it works</html>"))

    def fails_inside(self) -> None:
        self._will_fail(500, "InternalServiceError")

    async def is_down(self) -> None:
        await self.server.stop()

    def lists_the_task(self) -> None:
        self.server.will(Reply(body=self._recording("listing")))

    def lists_nothing(self) -> None:
        self.server.will(Reply(body={"items": [], "total": 0}))

    def reports(self, state: str) -> None:
        self.server.will(Reply(body=self._recording(state)))

    def forgot_the_task(self) -> None:
        self._will_fail(404, "NotFound.Task")

    def stops_a_queued_task(self) -> None:
        self.reports("queued")
        self.server.will(Reply(body={}))

    def refuses_to_stop(self) -> None:
        self.reports("queued")
        self._will_fail(409, "InvalidAction.RunningTaskDeletion")
        self.reports("running")

    def loses_the_answer_to_a_stop(self) -> None:
        self.reports("queued")
        for _ in range(2):
            self.server.will(Reply(fault=Fault.RESET))

    def request_count(self) -> int:
        return len(self.server.seen)

    def _will_fail(self, status: int, code: str) -> None:
        envelope = json.loads(self._recording("error"))
        envelope["error"]["code"] = code
        self.server.will(Reply(status=status, body=envelope))

    def _recording(self, name: str) -> bytes:
        return (RECORDINGS / "ark" / f"{name}.json").read_bytes()


async def ark_stage() -> AsyncIterator[Stage]:
    async with ArkServer() as server, aiohttp.ClientSession() as session:
        provider = ArkProvider(session=session, base_url=server.base_url, api_key="secret")
        yield ArkStage(server=server, provider=provider)


@pytest.fixture(params=[ark_stage], ids=["ark"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async for ready in request.param():
        yield ready


async def submit(stage: Stage, *, timeout_seconds: float = 5) -> str:
    return await stage.provider.submit(
        ORDER,
        correlation_id=stage.correlation_id,
        callback_url="https://ours.example/cb/t",
        timeout_seconds=timeout_seconds,
    )


async def find(stage: Stage, *, timeout_seconds: float = 5) -> str | None:
    return await stage.provider.find(
        stage.correlation_id,
        model=ORDER.model,
        created_after=stage.created_at - 1,
        timeout_seconds=timeout_seconds,
    )


async def check(stage: Stage, *, timeout_seconds: float = 5) -> Pending | Done | Refused:
    return await stage.provider.check(stage.task_id, timeout_seconds=timeout_seconds)


async def cancel(stage: Stage, *, timeout_seconds: float = 5) -> bool:
    return await stage.provider.cancel(stage.task_id, timeout_seconds=timeout_seconds)


async def test_submitting_returns_the_task_after_one_request(stage: Stage) -> None:
    stage.accepts()

    task_id = await submit(stage)

    assert task_id == stage.task_id
    assert stage.request_count() == 1


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [("refuses_parameters", RefusalKind.PARAMETERS), ("refuses_content", RefusalKind.CONTENT)],
)
async def test_refused_order_says_why(stage: Stage, behaviour: str, kind: RefusalKind) -> None:
    getattr(stage, behaviour)()

    with pytest.raises(RefusedError) as caught:
        await submit(stage)

    assert caught.value.refused.kind is kind


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        ("is_busy", BusyError),
        ("rejects_our_credential", BrokenError),
        ("is_out_of_money", BrokenError),
        ("loses_the_answer", UnknownError),
        ("never_answers", UnknownError),
        ("answers_garbage", UnknownError),
        ("fails_inside", UnknownError),
    ],
)
async def test_submission_without_an_answer_is_sent_once_and_told_apart(
    stage: Stage, behaviour: str, error: type[UpstreamError]
) -> None:
    getattr(stage, behaviour)()

    with pytest.raises(error):
        await submit(stage, timeout_seconds=1)

    assert stage.request_count() == 1


@pytest.mark.parametrize("call", [submit, find, check, cancel])
async def test_provider_that_is_down_is_unreachable(stage: Stage, call: Call) -> None:
    await stage.is_down()

    with pytest.raises(UnreachableError):
        await call(stage)


@pytest.mark.parametrize("call", [find, check, cancel])
@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        ("is_busy", BusyError),
        ("rejects_our_credential", BrokenError),
        ("is_out_of_money", BrokenError),
        ("loses_the_answer", UnreachableError),
        ("never_answers", UnreachableError),
        ("answers_garbage", UnreachableError),
        ("fails_inside", UnreachableError),
    ],
)
async def test_read_without_an_answer_never_ends_a_task(
    stage: Stage, call: Call, behaviour: str, error: type[UpstreamError]
) -> None:
    for _ in range(2):  # an idempotent request may be sent again on a connection that died
        getattr(stage, behaviour)()

    with pytest.raises(error):
        await call(stage, timeout_seconds=1)


async def test_lost_submission_is_found_by_its_correlation_id(stage: Stage) -> None:
    stage.lists_the_task()

    assert await find(stage) == stage.task_id


async def test_submission_that_never_arrived_is_not_found(stage: Stage) -> None:
    stage.lists_nothing()

    assert await find(stage) is None


async def test_task_is_pending_until_it_runs_and_until_it_ends(stage: Stage) -> None:
    stage.reports("queued")
    stage.reports("running")

    assert await check(stage) == Pending(running=False)
    assert await check(stage) == Pending(running=True)


async def test_finished_task_has_an_address(stage: Stage) -> None:
    stage.reports("succeeded")

    answer = await check(stage)

    assert isinstance(answer, Done)
    assert answer.video_url.startswith("https://")


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("failed", RefusalKind.CONTENT),
        ("expired", RefusalKind.EXPIRED),
        ("cancelled", RefusalKind.FAILED),
    ],
)
async def test_task_that_ended_badly_is_refused(stage: Stage, state: str, kind: RefusalKind) -> None:
    stage.reports(state)

    answer = await check(stage)

    assert isinstance(answer, Refused)
    assert answer.kind is kind


async def test_task_the_provider_forgot_has_expired(stage: Stage) -> None:
    stage.forgot_the_task()

    answer = await check(stage)

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.EXPIRED


async def test_a_queued_task_is_stopped(stage: Stage) -> None:
    stage.stops_a_queued_task()

    assert await cancel(stage)


@pytest.mark.parametrize(
    ("state", "has_ended"),
    [("running", False), ("succeeded", False), ("failed", True), ("expired", True), ("cancelled", True)],
)
async def test_a_task_that_left_the_queue_is_only_asked_about(
    stage: Stage, state: str, has_ended: bool
) -> None:
    stage.reports(state)

    assert await cancel(stage) is has_ended
    assert stage.request_count() == 1


async def test_a_task_that_begins_to_run_while_it_is_to_be_stopped_goes_on(stage: Stage) -> None:
    stage.refuses_to_stop()

    assert not await cancel(stage)


async def test_a_task_the_provider_forgot_needs_no_stop(stage: Stage) -> None:
    stage.forgot_the_task()

    assert await cancel(stage)


async def test_a_stop_without_an_answer_may_be_asked_for_again(stage: Stage) -> None:
    stage.loses_the_answer_to_a_stop()
    with pytest.raises(UnreachableError):
        await cancel(stage)
    stage.reports("cancelled")

    assert await cancel(stage)


@pytest.mark.parametrize(("correlation_id", "carries"), [("att_1", True), ("att_2", False), ("", False)])
async def test_a_task_is_known_by_what_it_carries(stage: Stage, correlation_id: str, carries: bool) -> None:
    stage.reports("running")

    assert (
        await stage.provider.carries(stage.task_id, correlation_id, timeout_seconds=PATIENCE_SECONDS)
        is carries
    )


async def test_a_task_that_the_provider_does_not_know_carries_nothing(stage: Stage) -> None:
    stage.forgot_the_task()

    assert not await stage.provider.carries(
        stage.task_id, stage.correlation_id, timeout_seconds=PATIENCE_SECONDS
    )


@pytest.mark.parametrize("behaviour", ["is_busy", "fails_inside", "loses_the_answer", "answers_garbage"])
async def test_what_a_task_carries_is_not_guessed(stage: Stage, behaviour: str) -> None:
    getattr(stage, behaviour)()

    with pytest.raises(UpstreamError):
        await stage.provider.carries(stage.task_id, stage.correlation_id, timeout_seconds=PATIENCE_SECONDS)
