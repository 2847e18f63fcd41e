"""Waiting for a task and hearing its events, through the edge."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from tests.e2e.contract.conftest import History, path_of
from tests.e2e.customer import ENDED, SMALL, open_customer
from tests.e2e.edge.client import LEAKS, assert_refused
from tests.e2e.local_stack import Account, Stack
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = {"model": "mini", "input": {"prompt": "[simulate: slow 4] a lantern in the fog", **SMALL}}
NEXTAPI = "/v1/video/generations"
NEXTAPI_BODY = {
    "model": "seedance-2.0-mini",
    "prompt": "[simulate: slow 4] a lantern in the fog",
    "duration_seconds": 4,
    "resolution": "480p",
}


@dataclass
class Stream:
    """Server-sent events as they come in."""

    response: aiohttp.ClientResponse
    text: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    async def next(self) -> dict[str, Any] | None:
        """Returns the next event; None at the end of the stream."""
        while True:
            while "\n\n" in self.text:
                block, self.text = self.text.split("\n\n", 1)
                fields: Any = dict(line.split(": ", 1) for line in block.split("\n"))
                if "event" in fields:
                    self.events.append({**fields, "data": json.loads(fields["data"])})
                    return self.events[-1]
            chunk = await self.response.content.readany()
            if not chunk:
                return None
            self.text += chunk.decode()

    async def rest(self) -> list[dict[str, Any]]:
        """Returns all events, when the stream has ended."""
        while await self.next():
            pass
        return self.events


@asynccontextmanager
async def listening(stack: Stack, path: str, key: str, *, heard: str = "") -> AsyncIterator[Stream]:
    """Opens a stream of events, which must be one."""
    headers = {"Authorization": f"Bearer {key}"} | ({"Last-Event-ID": heard} if heard else {})
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with (
        aiohttp.ClientSession(stack.edge, timeout=timeout, headers=headers) as session,
        session.get(f"{path}/events") as response,
    ):
        assert response.status == 200, await response.text()
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-cache"
        assert "content-length" not in response.headers
        assert not [name for name in response.headers if name.lower().startswith(LEAKS)]
        yield Stream(response)


def statuses(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (each["event"], (each["data"].get("data") or each["data"])["status"])
        for each in events
        if each["event"] != "progress"
    ]


async def test_events_arrive_one_by_one_while_the_task_goes_on(stack: Stack, history: History) -> None:
    created = await history.customer.create(BODY)
    key = history.account.keys["live"]
    async with listening(stack, path_of(created), key) as stream:
        await stream.next()
        meanwhile = await history.customer.get(path_of(created))
        events = await stream.rest()
    final = await history.customer.send("GET", path_of(created))

    assert meanwhile["status"] not in ENDED
    assert statuses(events)[0] in [("status", "pending"), ("status", "processing")]
    assert statuses(events)[-2:] == [("status", "completed"), ("end", "completed")]
    assert events[-1]["data"] == final.json
    progress = [each["data"] for each in events if each["event"] == "progress"]
    assert progress
    assert all(each["id"] == created["id"] and 0 < each["progress"] < 100 for each in progress)


async def test_a_nextapi_job_is_told_in_the_words_of_its_contract(stack: Stack) -> None:
    account = stack.create_account("waits", credits_each="1000", contract="nextapi")
    key = account.keys["live"]
    async with open_customer(stack.edge, key, seconds=90) as customer:
        created = (await customer.send("POST", NEXTAPI, NEXTAPI_BODY)).json
        path = f"{NEXTAPI}/{created['id']}"
        async with listening(stack, path, key) as stream:
            events = await stream.rest()
        final = await customer.send("GET", f"{path}?wait=60")
        unknown = await customer.send("GET", f"{NEXTAPI}/job_{'0' * 26}/events")
        late = await customer.send("GET", f"{path}?wait=61")

    expected = [("status", name) for name in ("queued", "running", "succeeded")]
    assert statuses(events) in ([*expected, ("end", "succeeded")], [*expected[1:], ("end", "succeeded")])
    assert events[-1]["data"] == final.json
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "not_found")
    assert (late.status, sorted(late.json["error"])) == (400, ["code", "message"])


async def test_a_wait_is_answered_when_the_task_ends(stack: Stack, history: History) -> None:
    async with open_customer(stack.edge, history.account.keys["live"], seconds=90) as customer:
        created = await customer.create(BODY)
        at_once = await customer.get(f"{path_of(created)}?wait=0")
        video = await customer.get(f"{path_of(created)}?wait=60")
        while video["status"] not in ENDED:
            video = await customer.get(f"{path_of(created)}?wait=60")

    assert at_once["status"] == "pending"
    assert video["status"] == "completed"


async def test_a_wait_for_longer_than_a_plain_poll_may_take_is_answered_in_time(
    stack: Stack, history: History
) -> None:
    async with open_customer(stack.edge, history.account.keys["live"], seconds=90) as customer:
        pending = await customer.get(f"{path_of(history.created['pending'])}?wait=12")

    assert pending["status"] == "pending"


@pytest.mark.parametrize(
    ("wait", "message"),
    [
        ("-1", "Field wait must be greater than or equal to 0 and less than or equal to 60. It was -1."),
        ("61", "Field wait must be greater than or equal to 0 and less than or equal to 60. It was 61."),
        ("abc", 'Field wait must be a whole number. It was "abc".'),
        ("99999999999", 'Field wait is out of range. It was "99999999999".'),
    ],
)
async def test_a_wait_that_cannot_be_is_refused(history: History, wait: str, message: str) -> None:
    answer = await history.customer.send("GET", f"{path_of(history.created['pending'])}?wait={wait}")

    assert_refused(answer, 400, message)


async def test_nobody_waits_for_another_accounts_task(
    stack: Stack, account: Account, history: History
) -> None:
    pending = history.created["pending"]
    async with open_customer(stack.edge, account.keys["live"]) as stranger:
        wait = await stranger.send("GET", f"{path_of(pending)}?wait=60")
        events = await stranger.send("GET", f"{path_of(pending)}/events")

    for answer in (wait, events):
        message = f'There is no task "{pending["id"]}".'
        assert_refused(answer, 404, message, code="task_not_found")


async def test_the_events_of_an_ended_task_are_its_end(stack: Stack, history: History) -> None:
    key, path = history.account.keys["live"], path_of(history.created["fail"])
    async with listening(stack, path, key) as stream:
        events = await stream.rest()
    async with listening(stack, path, key, heard=events[-1]["id"]) as stream:
        nothing = await stream.rest()

    assert statuses(events) == [("status", "failed"), ("end", "failed")]
    assert events[-1]["data"] == history.polls["fail"].json
    assert nothing == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "events?after=7", 400),
        ("POST", "events", 404),
        ("HEAD", "events", 404),
        ("GET", "events/", 404),
        ("GET", "event", 404),
    ],
)
async def test_what_is_no_stream_of_events_is_refused(
    history: History, method: str, path: str, status: int
) -> None:
    answer = await history.customer.send(method, f"{path_of(history.created['fail'])}/{path}")

    assert answer.status == status
