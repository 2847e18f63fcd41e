"""What every provider's adapter owes the port, whatever the provider's own words for it are."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest

from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    BusyError,
    Done,
    Hint,
    Pending,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UnsearchableError,
    UpstreamError,
)
from services.upstream.registry import KINDS
from tests.contract.stages.stage import SITUATIONS, Scene, Stage, all_stages, open_scene
from tests.fakes.provider_server import Fault, Reply

Call = Callable[..., Awaitable[Any]]
STAGES = all_stages()
SEARCHABLE = [stage for stage in STAGES if "listed" in stage.situations]
UNSEARCHABLE = [stage for stage in STAGES if "not_listed" not in stage.situations]
"""Between the two is who lists tasks and keeps nothing of ours with them: only an empty list tells it something."""
GARBAGE = {
    "page": Reply(body=b"<html>it works</html>"),
    "null": Reply(body=b"null"),
    "list": Reply(body=b"[]"),
    "types": Reply(
        body=b'{"id":7,"task_id":[],"request_id":{},"name":1,"status":{},"task":"x","items":3,"done":[]}'
    ),
    "deep": Reply(body=b"[" * 100_000),
    "cut": Reply(body=b'{"id":"x","status":"succeeded"}', fault=Fault.TRUNCATE),
    "encoding": Reply(body=b"\xff\xfe{}"),
}
BROKEN = {
    "bad_credential": BrokenCause.CREDENTIAL,
    "no_money": BrokenCause.QUOTA,
}
REFUSED_TASKS = {
    "succeeded_without_media": RefusalKind.UNAVAILABLE,
    "failed_content": RefusalKind.CONTENT,
    "failed_inside": RefusalKind.UNAVAILABLE,
    "failed_unexplained": RefusalKind.FAILED,
    "expired": RefusalKind.EXPIRED,
    "cancelled": RefusalKind.FAILED,
    "forgotten": RefusalKind.EXPIRED,
}


@pytest.fixture
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    async with open_scene(request.param) as ready:
        yield ready


def on(stages: list[Stage] | tuple[Stage, ...]) -> pytest.MarkDecorator:
    """Runs a test on each of the stages."""
    return pytest.mark.parametrize("scene", stages, indirect=True, ids=lambda stage: stage.name)


def each(expected: Mapping[str, object]) -> pytest.MarkDecorator:
    """Runs a test for each situation, on each stage that has it, with what is expected of it."""
    return pytest.mark.parametrize(
        ("scene", "situation", "expected"),
        [
            pytest.param(stage, situation, value, id=f"{stage.name}-{situation}")
            for stage in STAGES
            for situation, value in expected.items()
            if situation in stage.situations
        ],
        indirect=["scene"],
    )


async def submit(scene: Scene, *, timeout_seconds: float = 5) -> str:
    return await scene.provider.submit(
        scene.stage.order,
        correlation_id=scene.stage.correlation_id,
        callback_url="https://ours.example/cb/t",
        timeout_seconds=timeout_seconds,
    )


async def find(scene: Scene, *, timeout_seconds: float = 5) -> str | None:
    return await scene.provider.find(
        scene.stage.correlation_id,
        model=scene.stage.order.model,
        created_after=scene.stage.created_at - 1,
        timeout_seconds=timeout_seconds,
    )


async def check(scene: Scene, *, timeout_seconds: float = 5) -> Pending | Done | Refused:
    return await scene.provider.check(scene.stage.task_id, timeout_seconds=timeout_seconds)


async def cancel(scene: Scene, *, timeout_seconds: float = 5) -> bool:
    return await scene.provider.cancel(scene.stage.task_id, timeout_seconds=timeout_seconds)


async def carries(scene: Scene, *, timeout_seconds: float = 5) -> bool:
    return await scene.provider.carries(
        scene.stage.task_id, scene.stage.correlation_id, timeout_seconds=timeout_seconds
    )


def reads_of(stage: Stage) -> list[Call]:
    return [check, cancel, find, carries] if stage in SEARCHABLE else [check, cancel]


READS = pytest.mark.parametrize(
    ("scene", "call"),
    [
        pytest.param(stage, call, id=f"{stage.name}-{call.__name__}")
        for stage in STAGES
        for call in reads_of(stage)
    ],
    indirect=["scene"],
)


def test_every_kind_of_provider_has_a_stage() -> None:
    assert {stage.name for stage in STAGES} == set(KINDS)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_situation_is_played_or_explained(stage: Stage) -> None:
    assert stage.situations.keys() | stage.lacks.keys() == SITUATIONS.keys()
    assert not stage.situations.keys() & stage.lacks.keys()
    assert all(stage.lacks.values())


@each({"accepted": None})
async def test_submitting_returns_the_task_after_one_request(
    scene: Scene, situation: str, expected: None
) -> None:
    scene.will(situation)

    assert await submit(scene) == scene.stage.task_id
    assert len(scene.server.seen) == 1


@each({"refused_parameters": RefusalKind.PARAMETERS, "refused_content": RefusalKind.CONTENT})
async def test_refused_order_says_why(scene: Scene, situation: str, expected: RefusalKind) -> None:
    scene.will(situation)

    with pytest.raises(RefusedError) as caught:
        await submit(scene)

    assert caught.value.refused.kind is expected
    assert len(scene.server.seen) == 1


@each({**BROKEN, "unknown_model": BrokenCause.MODEL})
async def test_what_an_operator_must_mend_is_told_apart(
    scene: Scene, situation: str, expected: BrokenCause
) -> None:
    scene.will(situation)

    with pytest.raises(BrokenError) as caught:
        await submit(scene)

    assert caught.value.cause is expected
    assert len(scene.server.seen) == 1


@each({"busy": None, "busy_for_7_seconds": 7.0})
async def test_a_busy_provider_says_when_to_come_back(
    scene: Scene, situation: str, expected: float | None
) -> None:
    scene.will(situation, times=2)

    for call in (submit, check):
        with pytest.raises(BusyError) as caught:
            await call(scene)
        assert caught.value.retry_after_seconds == expected


@on(STAGES)
@pytest.mark.parametrize("fault", [Fault.RESET, Fault.STALL])
async def test_an_order_without_an_answer_is_in_doubt_and_sent_once(scene: Scene, fault: Fault) -> None:
    scene.server.will(Reply(fault=fault))

    with pytest.raises(UnknownError):
        await submit(scene, timeout_seconds=1)

    assert len(scene.server.seen) == 1


@on(STAGES)
@pytest.mark.parametrize("garbage", GARBAGE)
async def test_an_order_with_an_unusable_answer_is_in_doubt(scene: Scene, garbage: str) -> None:
    scene.server.will(GARBAGE[garbage])

    with pytest.raises(UnknownError):
        await submit(scene)

    assert len(scene.server.seen) == 1


@on(STAGES)
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 529])
async def test_no_5xx_is_taken_for_a_surely_not(scene: Scene, status: int) -> None:
    scene.server.will(Reply(status=status, body=b"<html>bad gateway</html>"))

    with pytest.raises(UpstreamError) as caught:
        await submit(scene)

    assert isinstance(caught.value, UnknownError)
    assert len(scene.server.seen) == 1


@each({"broken_inside": None})
async def test_an_internal_error_leaves_an_order_in_doubt_and_a_task_alone(
    scene: Scene, situation: str, expected: None
) -> None:
    scene.will(situation)
    with pytest.raises(UnknownError):
        await submit(scene)

    scene.will(situation)
    with pytest.raises(UnreachableError):
        await check(scene)


@on(STAGES)
async def test_a_burst_of_5xx_ends_with_the_answer(scene: Scene) -> None:
    scene.server.will(*(Reply(status=status, body=b"<html>") for status in (500, 502, 503, 504)))
    for _ in range(4):
        with pytest.raises(UnreachableError):
            await check(scene)
    scene.will("running")

    assert await check(scene) == Pending(running=True)


@on(STAGES)
async def test_provider_that_is_down_is_unreachable(scene: Scene) -> None:
    await scene.server.stop()

    for call in (submit, *reads_of(scene.stage)):
        with pytest.raises(UnreachableError):
            await call(scene)


@READS
async def test_a_read_without_an_answer_never_ends_a_task(scene: Scene, call: Call) -> None:
    for garbage in GARBAGE.values():
        # A request without effects may be sent again on a connection that died.
        scene.server.will(*[garbage] * 2)
        with pytest.raises(UnreachableError):
            await call(scene)
        scene.server.forget_script()


@READS
@pytest.mark.parametrize("situation", BROKEN)
async def test_a_read_with_a_bad_key_asks_for_an_operator(scene: Scene, call: Call, situation: str) -> None:
    scene.will(situation)

    with pytest.raises(BrokenError) as caught:
        await call(scene)

    assert caught.value.cause is BROKEN[situation]


@on(STAGES)
async def test_an_answer_that_never_comes_is_not_waited_for(scene: Scene) -> None:
    scene.server.will(*[Reply(fault=Fault.STALL)] * 2)

    with pytest.raises(UnreachableError):
        await check(scene, timeout_seconds=0.5)


@each(
    {
        "queued": Pending(running=False),
        "running": Pending(running=True),
        "new_status": Pending(running=True),
    }
)
async def test_a_task_is_pending_until_it_ends(scene: Scene, situation: str, expected: Pending) -> None:
    scene.will(situation)

    assert await check(scene) == expected


@on(STAGES)
async def test_finished_task_has_an_address(scene: Scene) -> None:
    scene.will("succeeded")

    answer = await check(scene)

    assert isinstance(answer, Done)
    assert answer.video_url.startswith(("https://", f"{scene.server.origin}/"))


@each(REFUSED_TASKS)
async def test_task_that_ended_badly_says_why(scene: Scene, situation: str, expected: RefusalKind) -> None:
    scene.will(situation)

    answer = await check(scene)

    assert isinstance(answer, Refused)
    assert answer.kind is expected


@each({"stops_queued": True, "keeps_running": False})
async def test_a_task_is_stopped_if_it_can_be(scene: Scene, situation: str, expected: bool) -> None:
    scene.will(situation)

    assert await cancel(scene) is expected


@each(
    {
        "succeeded": False,
        "failed_content": True,
        "failed_inside": True,
        "expired": True,
        "cancelled": True,
        "forgotten": True,
    }
)
async def test_a_task_that_ended_is_left_alone(scene: Scene, situation: str, expected: bool) -> None:
    scene.will(situation)

    assert await cancel(scene) is expected
    assert {seen.method for seen in scene.server.seen} == {"GET"}


@on(SEARCHABLE)
async def test_a_lost_order_is_found_by_its_correlation_id(scene: Scene) -> None:
    scene.will("listed")

    assert await find(scene) == scene.stage.task_id


@each({"not_listed": None})
async def test_an_order_that_never_arrived_is_not_found(scene: Scene, situation: str, expected: None) -> None:
    scene.will(situation)

    assert await find(scene) is None


@on(SEARCHABLE)
async def test_a_task_is_known_by_what_it_carries(scene: Scene) -> None:
    scene.will("running", times=3)
    task_id = scene.stage.task_id

    assert await scene.provider.carries(task_id, scene.stage.correlation_id, timeout_seconds=5)
    assert not await scene.provider.carries(task_id, "att_2", timeout_seconds=5)
    assert not await scene.provider.carries(task_id, "", timeout_seconds=5)


@on(SEARCHABLE)
async def test_a_task_that_the_provider_does_not_know_carries_nothing(scene: Scene) -> None:
    scene.will("forgotten")

    assert not await carries(scene)


@on(UNSEARCHABLE)
async def test_a_provider_without_a_trace_of_ours_says_so_at_once(scene: Scene) -> None:
    for call in (find, carries):
        with pytest.raises(UnsearchableError):
            await call(scene)

    assert scene.server.seen == []


@on(STAGES)
async def test_a_callback_is_as_authentic_as_it_can_be_however_often_it_comes(scene: Scene) -> None:
    expected = Hint(task_id=scene.stage.task_id, is_authentic=scene.stage.signs)
    assert bool(scene.callbacks) is scene.stage.kind.callbacks

    for callback in (*scene.callbacks, *reversed(scene.callbacks)):
        assert (
            await scene.provider.read_callback(callback.headers, callback.body, model=scene.stage.order.model)
            == expected
        )


@on(STAGES)
async def test_what_is_no_callback_is_taken_for_nothing(scene: Scene) -> None:
    model = scene.stage.order.model
    forgeries = scene.stage.forgeries(scene.server)
    assert bool(forgeries) is scene.stage.signs
    for forgery in forgeries:
        assert await scene.provider.read_callback(forgery.headers, forgery.body, model=model) is None

    genuine = [callback.headers for callback in scene.callbacks] or [{}]
    for body in (b"", b"{", b"null", b'{"id":"a/../b"}', b'{"id":".."}', b"\xff", b"[" * 100_000):
        assert await scene.provider.read_callback(genuine[0], body, model=model) is None
        assert await scene.provider.read_callback({}, body, model=model) is None


@on(STAGES)
async def test_the_credential_is_shown_to_the_api_alone(scene: Scene) -> None:
    for url in ("https://results.example/clip.mp4", "http://127.0.0.1:1/clip.mp4", "//x", "", "file:///etc"):
        assert scene.provider.media_headers(url) == {}

    own = scene.provider.media_headers(f"{scene.server.origin}/clip.mp4")

    assert scene.stage.api_key in " ".join(own.values())


@on(STAGES)
async def test_a_redirect_does_not_carry_the_credential_away(scene: Scene) -> None:
    async with scene.stage.server() as elsewhere:
        redirect = Reply(status=307, headers={"Location": elsewhere.base_url})
        scene.server.will(redirect, redirect)

        for call in (submit, check):
            with pytest.raises(UpstreamError):
                await call(scene)

        assert elsewhere.seen == []


@on(STAGES)
async def test_a_strict_server_takes_every_order_and_renders_it(scene: Scene) -> None:
    for number, order in enumerate(scene.stage.orders):
        task_id = await scene.provider.submit(
            order,
            correlation_id=f"att_{number}",
            callback_url="https://ours.example/cb/t" if number % 2 else None,
            timeout_seconds=5,
        )
        before = await scene.provider.check(task_id, timeout_seconds=5)
        scene.server.run(task_id)
        during = await scene.provider.check(task_id, timeout_seconds=5)
        scene.server.finish(task_id)
        after = await scene.provider.check(task_id, timeout_seconds=5)

        assert before == Pending(running="queued" not in scene.stage.situations)
        assert during == Pending(running=True)
        assert isinstance(after, Done)


@on(STAGES)
async def test_a_strict_server_tells_a_wrong_key_apart(scene: Scene) -> None:
    task_id = await submit(scene)
    stranger = scene.opened_with("wrong-key")

    with pytest.raises(BrokenError) as caught:
        await stranger.check(task_id, timeout_seconds=5)
    assert caught.value.cause is BrokenCause.CREDENTIAL


@on(STAGES)
async def test_an_order_whose_answer_was_lost_is_one_task_that_is_found_if_any_can_be(scene: Scene) -> None:
    scene.server.will(Reply(fault=Fault.LOSE))
    with pytest.raises(UnknownError):
        await submit(scene)

    [task_id] = scene.server.task_ids
    if scene.stage in SEARCHABLE:
        assert await find(scene) == task_id
    else:
        with pytest.raises(UnsearchableError):
            await find(scene)
