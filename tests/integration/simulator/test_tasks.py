import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from services.simulator.api import TASKS_PATH
from services.simulator.server import serve_simulator
from services.simulator.settings import Mode
from tests.integration.simulator.wire import Caller, settings

DAY_SECONDS = 86_400


class Clock:
    def __init__(self) -> None:
        self.now = 1_769_574_896.0

    def __call__(self) -> float:
        return self.now


async def test_a_task_is_queued_then_succeeds_with_everything_the_documentation_shows(caller: Caller) -> None:
    task = await caller.succeeded("A cat", safety_identifier="user-1", seed=58_944, return_last_frame=True)

    assert re.fullmatch(r"cgt-\d{14}-[a-z0-9]{5}", task["id"])
    assert set(task.pop("content")) == {"video_url", "last_frame_url"}
    assert abs(task.pop("updated_at") - task.pop("created_at")) <= 60
    del task["id"]
    assert task == {
        "model": "dreamina-seedance-2-0-fast-260128",
        "status": "succeeded",
        "error": None,
        "seed": 58_944,
        "resolution": "480p",
        "ratio": "16:9",
        "duration": 4,
        "framespersecond": 24,
        "generate_audio": False,
        "draft": False,
        "service_tier": "default",
        "execution_expires_after": 172_800,
        "priority": 0,
        "safety_identifier": "user-1",
        "usage": {"completion_tokens": 40_176, "total_tokens": 40_176},
    }


async def test_a_request_without_a_seed_gets_one_and_learns_it(caller: Caller) -> None:
    tasks = [await caller.succeeded("A cat") for _ in range(2)]

    assert 0 <= tasks[0]["seed"] < 2**31
    assert tasks[0]["seed"] != tasks[1]["seed"]
    assert "last_frame_url" not in tasks[0]["content"]


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Key test-key", "test-key"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", ""), ("GET", ""), ("GET", "/cgt-1"), ("DELETE", "/cgt-1")]
)
async def test_every_call_needs_the_key(
    caller: Caller, method: str, path: str, authorization: str | None
) -> None:
    headers = {"Authorization": authorization} if authorization else {}

    answer = await caller.ask(method, TASKS_PATH + path, headers=headers)

    assert (answer.status, answer.error["code"]) == (401, "AuthenticationError")
    assert answer.error["type"] == "Unauthorized"


@pytest.mark.parametrize(
    ("fields", "status", "code", "type_", "param"),
    [
        ({"duration": 3}, 400, "InvalidParameter", "BadRequest", "duration"),
        ({"resolution": "1080p"}, 400, "InvalidParameter", "BadRequest", "resolution"),
        ({"model": "sora"}, 404, "InvalidEndpointOrModel.NotFound", "NotFound", "model"),
        ({"content": []}, 400, "MissingParameter", "BadRequest", "content"),
    ],
)
async def test_a_refusal_has_the_documented_envelope(
    caller: Caller, fields: dict[str, Any], status: int, code: str, type_: str, param: str
) -> None:
    answer = await caller.post(**fields)

    assert answer.status == status
    assert set(answer.json) == {"error"}
    assert set(answer.error) == {"code", "message", "param", "type"}
    assert (answer.error["code"], answer.error["type"], answer.error["param"]) == (code, type_, param)
    assert answer.error["message"].endswith(f"Request id: {answer.headers['X-Request-Id']}")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'"text"'])
async def test_a_body_that_is_no_json_object_is_refused(caller: Caller, body: bytes) -> None:
    answer = await caller.ask("POST", TASKS_PATH, data=body)

    assert (answer.status, answer.error["code"]) == (400, "InvalidParameter")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{TASKS_PATH}/cgt-20260101000000-aaaaa", 404),
        ("DELETE", f"{TASKS_PATH}/cgt-20260101000000-aaaaa", 404),
        ("GET", "/api/v3/models", 404),
        ("PUT", TASKS_PATH, 405),
    ],
)
async def test_what_does_not_exist_is_refused_in_the_same_envelope(
    caller: Caller, method: str, path: str, status: int
) -> None:
    answer = await caller.ask(method, path)

    assert answer.status == status
    assert set(answer.error) == {"code", "message", "param", "type"}


async def test_the_list_is_newest_first_filtered_and_paged(caller: Caller) -> None:
    identifiers = [f"list-{number}" for number in range(5)]
    ids = [await caller.create("A cat", safety_identifier=name) for name in identifiers]
    failed = await caller.create("[simulate: fail]")
    for task_id in (*ids, failed):
        await caller.seen(task_id, "succeeded", "failed")

    mine = {"filter.task_ids": [*ids, failed]}
    everything = await caller.list(**mine)
    second_page = await caller.list(page_num=2, page_size=2, **mine)
    failures = await caller.list(**{"filter.status": "failed"}, **mine)
    others = await caller.list(**{"filter.model": "doubao-seedance-2-0-260128"}, **mine)

    assert [task["id"] for task in everything["items"]] == [failed, *reversed(ids)]
    assert [task.get("safety_identifier") for task in everything["items"]] == [None, *reversed(identifiers)]
    assert everything["items"][0] == (await caller.get(failed)).json
    assert (second_page["total"], [task["id"] for task in second_page["items"]]) == (6, [ids[3], ids[2]])
    assert (failures["total"], failures["items"][0]["id"]) == (1, failed)
    assert others == {"items": [], "total": 0}


@pytest.mark.parametrize(
    "filters",
    [
        {"page_num": "0"},
        {"page_num": "501"},
        {"page_size": "0"},
        {"page_size": "501"},
        {"page_size": "ten"},
        {"filter.status": "done"},
        {"filter.model": "sora"},
        {"filter.service_tier": "flex"},
    ],
)
async def test_a_bad_list_parameter_is_named(caller: Caller, filters: dict[str, str]) -> None:
    answer = await caller.ask("GET", TASKS_PATH, params=filters)

    assert (answer.status, answer.error["param"]) == (400, next(iter(filters)))


async def test_a_queued_task_is_cancelled_and_a_running_one_is_not(
    session: ClientSession, tmp_path: Path
) -> None:
    limits = settings(folder=tmp_path, mode=Mode.RENDER, running_tasks_max=1)
    async with serve_simulator(limits) as running:
        caller = Caller(session, running.url)
        busy, waiting = [await caller.create("[simulate: slow 60]") for _ in range(2)]
        await caller.seen(busy, "running")

        refused, cancelled = await caller.delete(busy), await caller.delete(waiting)
        again = await caller.delete(waiting)
        listed = await caller.list(**{"filter.status": "cancelled"})

    assert (refused.status, refused.error["code"]) == (409, "InvalidAction.RunningTaskDeletion")
    assert refused.error["type"] == "Conflict"
    assert (cancelled.status, cancelled.json) == (200, {})
    assert again.status == 409
    assert [task["id"] for task in listed["items"]] == [waiting]


@pytest.mark.parametrize("directive", ["", "[simulate: fail]", "[simulate: expire]"])
async def test_a_finished_task_is_deleted_for_good(caller: Caller, directive: str) -> None:
    task = await caller.succeeded(f"A cat {directive}")

    deleted = await caller.delete(task["id"])

    assert (deleted.status, deleted.json) == (200, {})
    assert (await caller.get(task["id"])).status == 404
    assert (await caller.delete(task["id"])).status == 404


async def test_tasks_are_visible_for_seven_days_and_cancelled_ones_for_one(
    session: ClientSession, tmp_path: Path
) -> None:
    clock = Clock()
    limits = settings(folder=tmp_path, mode=Mode.RENDER, running_tasks_max=1)
    async with serve_simulator(limits, clock=clock) as running:
        caller = Caller(session, running.url)
        failed = (await caller.succeeded("[simulate: fail]"))["id"]
        await caller.seen(await caller.create("[simulate: slow 60]"), "running")
        cancelled = await caller.create()
        await caller.delete(cancelled)

        visible = []
        for days in (0, 2, 6):
            clock.now += days * DAY_SECONDS
            listed = {task["id"] for task in (await caller.list())["items"]}
            visible.append([task in listed for task in (failed, cancelled)])
            assert [(await caller.get(task)).status == 200 for task in (failed, cancelled)] == visible[-1]

    assert visible == [[True, True], [True, False], [False, False]]


async def test_the_oldest_finished_task_makes_room_and_unfinished_ones_never(
    session: ClientSession, tmp_path: Path
) -> None:
    async with serve_simulator(settings(folder=tmp_path, tasks_max=2)) as running:
        caller = Caller(session, running.url)
        finished = (await caller.succeeded("[simulate: fail]"))["id"]
        for _ in range(2):
            await caller.create("[simulate: slow 60]")

        forgotten = await caller.get(finished)
        refused = await caller.post()
        state = await caller.ask("GET", "/_control/state", headers={})

    assert forgotten.status == 404
    assert (refused.status, refused.error["code"]) == (429, "QuotaExceeded")
    assert sum(state.json["tasks"].values()) == 2


async def test_creates_can_be_limited_per_minute(session: ClientSession, folder: Path) -> None:
    clock = Clock()
    async with serve_simulator(settings(folder=folder, creates_per_minute_max=2), clock=clock) as running:
        caller = Caller(session, running.url)
        statuses = [(await caller.post()).status for _ in range(3)]
        clock.now += 61
        statuses.append((await caller.post()).status)

    assert statuses == [200, 200, 429, 200]


async def test_instant_tasks_take_their_latency_and_share_one_clip(
    session: ClientSession, tmp_path: Path
) -> None:
    async with serve_simulator(settings(folder=tmp_path, latency_seconds=1)) as running:
        caller = Caller(session, running.url)
        ids = [await caller.create(f"A cat {number}") for number in range(20)]
        status = (await caller.get(ids[-1])).json["status"]
        tasks = [await caller.seen(task_id, "succeeded") for task_id in ids]
        state = await caller.ask("GET", "/_control/state", headers={})

    assert status in {"queued", "running"}
    assert all(task["updated_at"] > task["created_at"] for task in tasks)
    assert len(list((tmp_path / "ready").glob("*.mp4"))) == 1
    assert state.json["tasks"] == {"succeeded": 20}
    assert state.json["counts"]["creates"] == 20


async def test_polls_are_answered_while_rendering(session: ClientSession, tmp_path: Path) -> None:
    async with serve_simulator(settings(folder=tmp_path, mode=Mode.RENDER)) as running:
        caller = Caller(session, running.url)
        task_id = await caller.create(resolution="720p")
        seen = []
        while True:
            seen.append((await caller.get(task_id)).json["status"])
            if seen[-1] == "succeeded":
                break

    assert seen.count("running") > 20
