"""Assistants make videos through the edge, with the official client, in both eras of the protocol."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ResourceLink, TextContent

from tests.e2e.local_stack import Account, Stack
from tests.patience import PATIENCE_SECONDS

SMALL = {"model": "mini", "prompt": "A paper boat", "duration": 4, "resolution": "480p"}
ERAS = {"auto": "2026-07-28", "legacy": "2025-11-25"}
GREETING = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def log_of(stack: Stack) -> str:
    return (stack.folder / "logs" / "mcp.log").read_text()


@asynccontextmanager
async def assistant(stack: Stack, key: str, *, mode: Any = "auto") -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=PATIENCE_SECONDS) as http,
        Client(streamable_http_client(f"{stack.edge}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


async def finished(client: Client, video: dict[str, Any]) -> dict[str, Any]:
    while not video["finished"]:
        told = await client.call_tool("get_video", {"id": video["id"], "wait_seconds": 20})
        assert not told.is_error, told.content
        video = told.structured_content
    return video


@pytest.fixture(scope="module")
def unused(stack: Stack) -> str:
    """What the process said before anybody called it."""
    return log_of(stack)


@pytest.fixture(scope="module")
def account(stack: Stack, unused: str) -> Account:
    """An account of these tests."""
    return stack.create_account("mcp")


async def test_it_is_loaded_by_the_first_call(stack: Stack, unused: str, account: Account) -> None:
    assert unused == ""

    async with assistant(stack, account.keys["test"]) as client:
        await client.list_tools()

    assert "startup complete" in log_of(stack)
    assert [each["restarts"] for each in stack.status()["processes"] if each["name"] == "mcp"] == [0]


@pytest.mark.parametrize("mode", ERAS)
async def test_an_assistant_makes_a_video_in_either_era(stack: Stack, account: Account, mode: str) -> None:
    async with assistant(stack, account.keys["test"], mode=mode) as client:
        assert client.protocol_version == ERAS[mode]
        assert len((await client.list_tools()).tools) == 8
        price = await client.call_tool("estimate_video", SMALL)
        made = await client.call_tool(
            "generate_video", {**SMALL, "max_credits": 20, "request_id": f"boat-{mode}", "wait_seconds": 20}
        )
        video = await finished(client, made.structured_content)
        again = await client.call_tool(
            "generate_video", {**SMALL, "max_credits": 20, "request_id": f"boat-{mode}"}
        )
        linked = await client.call_tool("get_video", {"id": video["id"]})
        listed = await client.call_tool("list_videos", {"limit": 2})
        usage = await client.call_tool("get_usage", {})

    assert price.structured_content["credits"] == video["credits"] == 20
    assert video["status"] == "completed"
    assert again.structured_content["id"] == video["id"]
    assert [each.uri for each in linked.content if isinstance(each, ResourceLink)] == [
        video["video_url"],
        video["poster_url"],
    ]
    assert listed.structured_content["videos"][0]["id"] == video["id"]
    assert usage.structured_content["summary"]["failed_jobs"] == 0


async def test_limits_refusals_and_prices_are_those_of_the_key(stack: Stack, account: Account) -> None:
    async with assistant(stack, account.keys["test"]) as client:
        models = await client.call_tool("list_models", {})
        dear = await client.call_tool("generate_video", {**SMALL, "max_credits": 19})
        wrong = await client.call_tool("generate_video", {**SMALL, "duration": 99})
        nothing = await client.call_tool("get_video", {"id": "vid_none"})
        slow = await client.call_tool("generate_video", {**SMALL, "prompt": "[simulate: overload 9999]"})
        stopped = await client.call_tool("cancel_video", {"id": slow.structured_content["id"]})
        balance = await client.call_tool("get_balance", {})

    assert {each["id"] for each in models.structured_content["models"]} == {"pro", "fast", "mini"}
    assert all(each["credits_per_second"] for each in models.structured_content["models"])
    for refused, words in (
        (dear, "above_max_credits: It would cost 20 credits"),
        (wrong, "invalid_request: Field input.duration must be"),
        (nothing, 'task_not_found: There is no task "vid_none".'),
    ):
        assert refused.is_error
        [text] = refused.content
        assert isinstance(text, TextContent)
        assert text.text.startswith(words)
    assert stopped.structured_content["error"]["code"] == "cancelled"
    assert balance.structured_content["held"] == 0


async def test_a_key_of_nextapi_makes_videos_too(stack: Stack, unused: str) -> None:
    key = stack.create_account("mcp-b", contract="nextapi").keys["test"]
    model = "seedance-2.0-mini"
    async with assistant(stack, key) as client:
        tools = {each.name for each in (await client.list_tools()).tools}
        made = await client.call_tool("generate_video", {**SMALL, "model": model, "wait_seconds": 20})
        video = await finished(client, made.structured_content)
        listed = await client.call_tool("list_videos", {})
        balance = await client.call_tool("get_balance", {})

    assert tools == {"generate_video", "get_video", "list_videos", "cancel_video", "get_balance"}
    assert video["status"] == "succeeded"
    assert video["video_url"].startswith(stack.edge)
    assert [each["id"] for each in listed.structured_content["videos"]] == [video["id"]]
    assert balance.structured_content["available"] < 100_000


@pytest.mark.parametrize("key", [None, "sk_other", "mistyped"])
async def test_a_wrong_key_is_told_so_in_http(stack: Stack, account: Account, key: str | None) -> None:
    if key == "mistyped":
        key = account.keys["test"][:-1] + "x"
    headers = {"Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE_SECONDS) as http:
        answer = await http.post(
            f"{stack.edge}/mcp", json=GREETING, headers={"Authorization": f"Bearer {key}"} if key else {}
        )

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["x-request-id"]


async def test_what_mcp_says_of_http_itself_comes_through(stack: Stack, account: Account) -> None:
    headers = {"Authorization": f"Bearer {account.keys['test']}", "Accept": "application/json"}
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE_SECONDS) as http:
        stream = await http.get(f"{stack.edge}/mcp")
        unread = await http.post(f"{stack.edge}/mcp", content=b"{")
        below = await http.get(f"{stack.edge}/mcp/sse")

    assert (stream.status_code, stream.headers["allow"]) == (405, "POST")
    assert unread.status_code == 400
    assert unread.json()["error"]["code"] == -32700
    assert below.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("mode", ERAS)
async def test_the_command_serves_the_same_on_standard_input(
    stack: Stack, account: Account, mode: Any, tmp_path: Path
) -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "services.cli", "mcp"],
        env={**os.environ, "REELGATE_BASE_URL": stack.edge, "REELGATE_API_KEY": account.keys["test"]},
    )
    with (tmp_path / "log").open("w") as log:
        async with Client(stdio_client(parameters, errlog=log), mode=mode) as client:
            version = client.protocol_version
            tools = (await client.list_tools()).tools
            balance = await client.call_tool("get_balance", {})
            made = await client.call_tool("generate_video", {**SMALL, "wait_seconds": 20})
            video = await finished(client, made.structured_content)

    assert version == ERAS[mode]
    assert len(tools) == 8
    assert balance.structured_content["available"] > 0
    assert video["status"] == "completed"


async def test_the_command_uses_the_local_stack_and_its_test_key_by_itself(
    stack: Stack, tmp_path: Path
) -> None:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("REELGATE_")}
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "services.cli", "mcp", "--data", str(stack.folder)], env=outside
    )
    with (tmp_path / "log").open("w") as log:
        async with Client(stdio_client(parameters, errlog=log)) as client:
            balance = await client.call_tool("get_balance", {})

    assert not balance.is_error


async def test_a_process_that_is_killed_loses_no_video(stack: Stack, account: Account) -> None:
    order = {**SMALL, "prompt": "[simulate: slow 5]", "request_id": "killed", "wait_seconds": 45}
    [pid] = [each["pid"] for each in stack.status()["processes"] if each["name"] == "mcp"]

    async with assistant(stack, account.keys["test"]) as client:
        created = await client.call_tool("generate_video", {**order, "wait_seconds": 0})
        waiting = asyncio.ensure_future(
            client.call_tool("get_video", {"id": created.structured_content["id"], "wait_seconds": 45})
        )
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait([waiting])
        stack.until_ready()

    assert waiting.exception() is not None or not waiting.result().is_error
    async with assistant(stack, account.keys["test"]) as client:
        again = await client.call_tool("generate_video", order)
        video = await finished(client, again.structured_content)
    assert video["id"] == created.structured_content["id"]
    assert video["status"] == "completed"
