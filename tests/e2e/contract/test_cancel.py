"""Cancelling through the edge: what is stopped and refunded, and what is refused."""

import json
import time
from typing import Any

import pytest

from tests.e2e.contract.conftest import History
from tests.e2e.customer import SMALL, VIDEOS, Customer, data_of, open_customer
from tests.e2e.edge.client import Answer, assert_refused
from tests.e2e.local_stack import Stack
from tests.e2e.receiver import Receiver
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOBS = "/v1/video/generations"
BALANCE_CREDITS = 100


@pytest.mark.parametrize(
    ("prompt", "status"),
    [("[simulate: overload 9999]", "pending"), ("[simulate: queue 900]", "processing")],
)
async def test_a_video_that_does_not_render_yet_is_cancelled_and_its_credits_are_back(
    stack: Stack, receiver: Receiver, prompt: str, status: str
) -> None:
    account = stack.create_account(f"cancel-{status}", credits_each=str(BALANCE_CREDITS))
    wanted = {
        "model": "mini",
        "input": {"prompt": prompt, **SMALL},
        "callback_url": receiver.hook(f"cancel-{status}"),
    }
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        video = await customer.create(wanted)
        await customer.until(video["id"], {status}, seconds=PATIENCE_SECONDS)

        answer = await until_answered(customer, f"{VIDEOS}/{video['id']}/cancel")

        shown = data_of(answer)
        assert (shown["status"], shown["error"]["code"], shown["error"]["type"]) == (
            "failed",
            "cancelled",
            "generation_error",
        )
        assert (shown["credits_charged"], shown["credits_refunded"]) == (0, 20)
        assert await customer.get("/v1/balance") == {"available": BALANCE_CREDITS, "held": 0}
        assert (await customer.send("GET", f"{VIDEOS}/{video['id']}")).json == answer.json
        assert (await customer.send("POST", f"{VIDEOS}/{video['id']}/cancel")).json == answer.json
        webhook = await receiver.first(f"cancel-{status}", seconds=PATIENCE_SECONDS)
        assert json.loads(webhook.body) == answer.json


async def until_answered(customer: Customer, path: str) -> Answer:
    """Cancels once more whenever the job is just being handed over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = await customer.send("POST", path, {})
        if answer.status != 409 or "retry-after" not in answer.headers:
            return answer
        assert time.monotonic() < deadline


async def test_a_job_of_nextapi_is_canceled_and_its_endpoint_told(stack: Stack, receiver: Receiver) -> None:
    account = stack.create_account("nextapi-cancel", credits_each="1", contract="nextapi")
    wanted = nextapi_request("[simulate: queue 900]", webhook_url=receiver.hook("b-cancel"))
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        created = (await customer.send("POST", JOBS, wanted)).json

        answer = await until_answered(customer, f"{JOBS}/{created['id']}/cancel")

        assert (answer.status, answer.json["status"], answer.json["error"]["code"]) == (
            200,
            "canceled",
            "canceled",
        )
        assert (answer.json["credits"], "video_url" in answer.json) == (0, False)
        assert (await customer.get("/v1/balance"))["held"] == 0
        events = await receiver.several("b-cancel", 1, seconds=PATIENCE_SECONDS)
        if json.loads(events[0].body)["type"] == "job.queued":
            events = await receiver.several("b-cancel", 2, seconds=PATIENCE_SECONDS)
        last = json.loads(events[-1].body)
        assert (last["type"], last["sequence"], last["data"]) == ("job.canceled", len(events), answer.json)


async def test_a_job_that_renders_is_refused_with_the_reason(stack: Stack) -> None:
    account = stack.create_account("nextapi-running", credits_each="1", contract="nextapi")
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        wanted = nextapi_request("[simulate: slow 15]")
        created = (await customer.send("POST", JOBS, wanted)).json
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (await customer.send("GET", f"{JOBS}/{created['id']}?wait=1")).json["status"] == "queued":
            assert time.monotonic() < deadline

        answer = await customer.send("POST", f"{JOBS}/{created['id']}/cancel")

        assert (answer.status, answer.json["error"]["code"]) == (409, "conflict")
        assert "can no longer stop it" in answer.json["error"]["message"]


def nextapi_request(prompt: str, **also: Any) -> dict[str, Any]:
    return {
        "model": "seedance-2.0-mini",
        "duration_seconds": 4,
        "resolution": "480p",
        "prompt": prompt,
        **also,
    }


async def test_a_finished_video_cannot_be_cancelled(history: History) -> None:
    video_id = history.created["minimal"]["id"]

    answer = await history.customer.send("POST", f"{VIDEOS}/{video_id}/cancel")

    assert_refused(answer, 409, f"Job {video_id} has ended: it is completed.", code="conflict")


@pytest.mark.parametrize("video_id", ["vid_01jz8b7q4x8k2p9w3m5c6n7r8s", "nonsense"])
async def test_what_is_not_there_cannot_be_cancelled(history: History, video_id: str) -> None:
    answer = await history.customer.send("POST", f"{VIDEOS}/{video_id}/cancel")

    assert_refused(answer, 404, f'There is no task "{video_id}".', code="task_not_found")
