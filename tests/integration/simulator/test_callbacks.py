from pathlib import Path

from aiohttp import ClientSession

from services.simulator.server import serve_simulator
from services.simulator.settings import Mode
from tests.integration.simulator.wire import Caller, Receiver, settings


async def test_every_transition_is_announced_with_what_get_shows(
    session: ClientSession, receiver: Receiver, tmp_path: Path
) -> None:
    async with serve_simulator(settings(folder=tmp_path, mode=Mode.RENDER)) as running:
        caller = Caller(session, running.url)
        task_id = await caller.create("A cat", callback_url=receiver.url)
        received = await receiver.until(lambda received: len(received) >= 3)
        shown = await caller.get(task_id)

    assert [task["status"] for task in received] == ["queued", "running", "succeeded"]
    assert received[-1] == shown.json
    assert {task["id"] for task in received} == {task_id}


async def test_failed_and_expired_tasks_are_announced(caller: Caller, receiver: Receiver) -> None:
    failed = await caller.succeeded("[simulate: fail]", callback_url=receiver.url)
    expired = await caller.succeeded("[simulate: expire]", callback_url=receiver.url)

    received = await receiver.until(lambda received: len(received) >= 2)
    assert sorted(received, key=lambda task: str(task["status"])) == [expired, failed]


async def test_the_final_callback_is_repeated_three_times_and_no_more(
    caller: Caller, receiver: Receiver
) -> None:
    receiver.statuses = [500, 404, 302, 503]

    task = await caller.succeeded("A cat", callback_url=receiver.url)
    received = await receiver.until(lambda received: len(received) >= 4)
    state = await caller.ask("GET", "/_control/state", headers={})

    assert received == [task] * 4
    assert state.json["counts"].get("callbacks_delivered", 0) == 0


async def test_a_receiver_that_is_away_does_not_hold_up_the_task(caller: Caller) -> None:
    task = await caller.succeeded("A cat", callback_url="http://127.0.0.1:9/callback")

    assert task["status"] == "succeeded"
