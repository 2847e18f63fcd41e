"""Whatever a provider sends, an adapter answers in the words of the port, and doubt is never taken for a no."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from services.upstream.provider import Done, Pending, Refused, UnknownError, UnreachableError, UpstreamError
from tests.contract.stages.stage import Scene, Stage, all_stages, open_scene
from tests.fakes.provider_server import Reply

STAGES = all_stages()
WRONG: tuple[Any, ...] = (None, 7, "odd", [], {}, [[]], True)
ANSWERS = ("queued", "running", "succeeded", "failed_content", "failed_inside", "forgotten")
ERRORS = ("refused_parameters", "refused_content", "unknown_model", "busy_for_7_seconds", "no_money")


@pytest.fixture(params=STAGES, ids=lambda stage: stage.name)
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    async with open_scene(request.param) as ready:
        yield ready


def spoilt(value: Any) -> Iterator[Any]:
    """Yields a JSON value with one part of it missing or of another type, for every part."""
    yield from WRONG
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for wrong in spoilt(value[key]):
            changed = value.copy()
            changed[key] = wrong
            yield changed
        if isinstance(value, dict):
            yield {name: each for name, each in value.items() if name != key}


def spoilt_scripts(stage: Stage, situation: str) -> Iterator[tuple[Reply, ...]]:
    """Yields the replies of a situation with one of them spoilt."""
    replies = stage.situations.get(situation, ())
    for number, reply in enumerate(replies):
        if reply.payload.startswith(b"{"):
            for body in spoilt(json.loads(reply.payload)):
                yield (
                    *replies[:number],
                    replace(reply, body=json.dumps(body).encode()),
                    *replies[number + 1 :],
                )


async def submit(scene: Scene) -> str:
    return await scene.provider.submit(
        scene.stage.order, correlation_id="att_1", callback_url=None, timeout_seconds=30
    )


@pytest.mark.parametrize("situation", ANSWERS)
async def test_a_spoilt_answer_about_a_task_is_no_answer_or_one_of_the_port(
    scene: Scene, situation: str
) -> None:
    for script in spoilt_scripts(scene.stage, situation):
        scene.server.forget_script()
        scene.server.will(*script)
        try:
            answer = await scene.provider.check(scene.stage.task_id, timeout_seconds=30)
        except UpstreamError:
            continue
        assert isinstance(answer, Pending | Done | Refused)
        assert (
            not isinstance(answer, Done) or answer.video_url.startswith("http") or answer.video_url == "odd"
        )


async def test_a_spoilt_acceptance_is_a_task_or_a_doubt(scene: Scene) -> None:
    for script in spoilt_scripts(scene.stage, "accepted"):
        scene.server.forget_script()
        scene.server.will(*script)
        try:
            task_id = await submit(scene)
        except UnknownError:
            continue
        assert isinstance(task_id, str)
        assert task_id


@pytest.mark.parametrize("situation", ERRORS)
async def test_a_spoilt_refusal_is_a_failure_of_the_port(scene: Scene, situation: str) -> None:
    for script in spoilt_scripts(scene.stage, situation):
        scene.server.forget_script()
        scene.server.will(*script)
        with pytest.raises(UpstreamError):
            await submit(scene)


@pytest.mark.parametrize(
    "retry_after", ["", "-1", "1e9", "soon", "Fri, 31 Dec 1999 23:59:59 GMT", "9" * 4000]
)
async def test_an_odd_time_to_come_back_is_left_alone_or_bounded(scene: Scene, retry_after: str) -> None:
    [reply] = scene.stage.situations["busy"]
    scene.server.will(replace(reply, headers={"Retry-After": retry_after}))

    with pytest.raises(UpstreamError) as caught:
        await submit(scene)

    seconds = getattr(caught.value, "retry_after_seconds", None)
    assert seconds is None or 0 <= seconds <= 300


@pytest.mark.parametrize(
    "body", [b'{"callback": 1}', b'"text"', b"7", b"true", b'{"id":{"id":1}}', b'{"data":[]}']
)
async def test_a_spoilt_callback_names_nothing(scene: Scene, body: bytes) -> None:
    headers = [callback.headers for callback in scene.callbacks] or [{}]

    assert await scene.provider.read_callback(headers[0], body, model=scene.stage.order.model) is None


async def test_what_came_late_or_twice_changes_nothing(scene: Scene) -> None:
    for situation in ("running", "queued", "running", "running"):
        if situation in scene.stage.situations:
            scene.will(situation)
            await scene.provider.check(scene.stage.task_id, timeout_seconds=5)
    scene.will("succeeded", times=2)

    answers = [await scene.provider.check(scene.stage.task_id, timeout_seconds=5) for _ in range(2)]

    assert all(isinstance(answer, Done) for answer in answers)


async def test_a_slow_answer_is_an_answer(scene: Scene) -> None:
    scene.server.will(*(replace(reply, slow=True) for reply in scene.stage.situations["accepted"]))

    assert await submit(scene) == scene.stage.task_id


async def test_an_answer_that_trickles_on_is_cut_off(scene: Scene) -> None:
    scene.server.will(Reply(body=b"[" * 5 * 1024 * 1024))
    with pytest.raises(UnknownError):
        await submit(scene)

    scene.server.will(*[Reply(body=b"[" * 5 * 1024 * 1024)] * 2)
    with pytest.raises(UnreachableError):
        await scene.provider.check(scene.stage.task_id, timeout_seconds=30)
