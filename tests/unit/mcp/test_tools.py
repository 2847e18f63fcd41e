"""What assistants are offered, and what becomes of what they ask for."""

import asyncio
import json
from typing import Any

import pytest
from mcp.client.client import Client
from mcp_types import CallToolResult, ResourceLink, TextContent

from services.mcp.calls import Refused
from services.mcp.server import build_server
from services.mcp.tools import TOOL_SECONDS
from tests.fakes.public_api import Answers, PublicApi

SEEDANCEE2_KEY = "sk_seedancee2_test_a"
NEXTAPI_KEY = "nxa_test_sk_a"
WANTED: dict[str, Any] = {"model": "mini", "prompt": "A paper boat", "duration": 4}
CREATED: dict[str, Any] = {
    "data": {"id": "vid_1", "status": "pending", "model": "mini", "credits_reserved": 20.0}
}
RUNNING: dict[str, Any] = {"data": {"id": "vid_1", "status": "processing", "model": "mini"}}
COMPLETED: dict[str, Any] = {
    "data": {
        "id": "vid_1",
        "status": "completed",
        "model": "mini",
        "credits_charged": 20.0,
        "output": {"video_url": "https://media.test/v.mp4", "thumbnail_url": "https://media.test/v.jpg"},
    }
}
PRICE: dict[str, Any] = {"data": {"credits": 20.0, "available": 100.0, "covered": True}}
BALANCE: dict[str, Any] = {"data": {"available": 100.0, "held": 0.0}}
API: Answers = {
    "CreateVideo": CREATED,
    "GetVideo": COMPLETED,
    "EstimateVideo": PRICE,
    "GetBalance": BALANCE,
    "CancelVideo": COMPLETED,
}


def client(api: PublicApi, key: str = SEEDANCEE2_KEY) -> Client:
    return Client(build_server(api, key_of=lambda _: key, told=lambda *_: None))


async def use(api: PublicApi, name: str, key: str = SEEDANCEE2_KEY, **arguments: Any) -> CallToolResult:
    async with client(api, key) as connected:
        return await connected.call_tool(name, arguments)


def sentence(result: CallToolResult) -> str:
    assert result.is_error
    [text] = result.content
    assert isinstance(text, TextContent)
    return text.text


async def test_eight_tools_are_described_in_less_than_six_kilobytes() -> None:
    async with client(PublicApi(API)) as connected:
        tools = (await connected.list_tools()).tools

    whole = json.dumps(
        [each.model_dump(by_alias=True, exclude_none=True) for each in tools], separators=(",", ":")
    )
    assert [each.name for each in tools] == [
        "list_models", "estimate_video", "generate_video", "get_video", "list_videos", "cancel_video",
        "get_balance", "get_usage",
    ]  # fmt: skip
    assert len(whole) < 6_000
    assert all(each.input_schema["type"] == "object" and each.output_schema for each in tools)


async def test_only_what_spends_or_stops_says_that_it_changes_something() -> None:
    async with client(PublicApi(API)) as connected:
        tools = (await connected.list_tools()).tools

    changing = {each.name for each in tools if each.annotations and not each.annotations.read_only_hint}
    assert changing == {"generate_video", "cancel_video"}


async def test_a_key_of_nextapi_sees_what_its_contract_has() -> None:
    async with client(PublicApi(API), NEXTAPI_KEY) as connected:
        tools = (await connected.list_tools()).tools

    assert {each.name for each in tools} == {
        "generate_video", "get_video", "list_videos", "cancel_video", "get_balance",
    }  # fmt: skip


async def test_a_dearer_video_is_refused_before_it_is_created() -> None:
    api = PublicApi(API)

    said = sentence(await use(api, "generate_video", **WANTED, max_credits=19.5))

    assert said.startswith("above_max_credits: It would cost 20 credits, which is more than 19.5.")
    assert "CreateVideo" not in api.names()


async def test_a_video_of_exactly_that_price_is_created() -> None:
    api = PublicApi(API)

    result = await use(api, "generate_video", **WANTED, max_credits=20)

    assert not result.is_error
    assert api.names()[-1] == "CreateVideo"


async def test_without_a_price_no_limit_is_pretended() -> None:
    api = PublicApi({**API, "CreateJob": {"id": "job_1", "status": "queued", "estimated_credits": 1.0}})

    said = sentence(await use(api, "generate_video", NEXTAPI_KEY, **WANTED, max_credits=20))

    assert said.startswith("invalid_request: max_credits needs a price")
    assert "CreateJob" not in api.names()


async def test_a_request_has_one_name_however_often_it_is_repeated() -> None:
    api = PublicApi(API)

    for name in ({"request_id": "boat-1"}, {"request_id": "boat-1"}, {}, {}):
        await use(api, "generate_video", **WANTED, **name)

    first, second, *others = [each.idempotency_key for each in api.asked if each.name == "CreateVideo"]
    assert first == second == "boat-1"
    assert len({*others, ""}) == 3


async def test_a_body_is_that_of_the_contract() -> None:
    api = PublicApi({**API, "CreateJob": {"id": "job_1", "status": "queued", "estimated_credits": 1.0}})
    frames: dict[str, Any] = {
        "start_image_url": "https://a.test/1.png",
        "end_image_url": "https://a.test/2.png",
    }

    await use(api, "generate_video", **WANTED, **frames)
    await use(api, "generate_video", NEXTAPI_KEY, **WANTED, **frames)

    [video] = [each.fields for each in api.asked if each.name == "CreateVideo"]
    [job] = [each.fields for each in api.asked if each.name == "CreateJob"]
    shared = {"prompt": "A paper boat", "generation_type": "first_and_last_frames", **frames}
    assert video == {"model": "mini", "input": {"duration": 4, **shared}}
    assert job == {"model": "mini", "duration_seconds": 4, **shared}


async def test_an_unfinished_video_says_how_to_go_on() -> None:
    result = await use(PublicApi({**API, "GetVideo": RUNNING}), "get_video", id="vid_1", wait_seconds=45)

    assert result.structured_content["finished"] is False
    assert result.structured_content["next"].startswith("Not finished. Call get_video")


async def test_a_finished_video_is_linked_and_never_enclosed() -> None:
    result = await use(PublicApi(API), "generate_video", **WANTED, wait_seconds=10)

    assert result.structured_content["video_url"] == "https://media.test/v.mp4"
    links = [each for each in result.content if isinstance(each, ResourceLink)]
    assert [(each.uri, each.mime_type) for each in links] == [
        ("https://media.test/v.mp4", "video/mp4"),
        ("https://media.test/v.jpg", "image/jpeg"),
    ]
    assert {each.type for each in result.content} == {"text", "resource_link"}


async def test_nothing_waits_longer_than_clients_do() -> None:
    api = PublicApi(API)

    await use(api, "get_video", id="vid_1", wait_seconds=45)
    too_long = await use(api, "get_video", id="vid_1", wait_seconds=46)

    assert [each.fields for each in api.asked if each.name == "GetVideo"] == [{"id": "vid_1", "wait": 45}]
    assert max(each.seconds for each in api.asked) <= TOOL_SECONDS < 50
    assert sentence(too_long).startswith("invalid_request: wait_seconds:")


async def test_a_slow_creation_leaves_less_time_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, later = asyncio.get_running_loop(), 0.0
    now = loop.time

    class Slow(PublicApi):
        async def __call__(self, method: Any, *arguments: Any, **options: Any) -> Any:
            nonlocal later
            later += 14.0 if method.name in {"EstimateVideo", "CreateVideo"} else 0.0
            return await super().__call__(method, *arguments, **options)

    api = Slow(API)
    async with client(api) as connected:
        monkeypatch.setattr(loop, "time", lambda: now() + later)
        await connected.call_tool("generate_video", {**WANTED, "max_credits": 50, "wait_seconds": 45})
        monkeypatch.undo()

    [waited] = [each for each in api.asked if each.name == "GetVideo"]
    assert 28 + waited.seconds <= TOOL_SECONDS
    assert waited.fields["wait"] <= 17


async def test_what_was_accepted_is_told_even_if_waiting_fails() -> None:
    api = PublicApi({**API, "GetVideo": Refused("internal_error", "Away.")})

    result = await use(api, "generate_video", **WANTED, wait_seconds=10)

    assert not result.is_error
    assert result.structured_content["id"] == "vid_1"


async def test_a_refusal_has_its_code_its_sentence_and_what_to_change() -> None:
    broke = Refused("insufficient_credits", "The task costs 20 credits, and 3 are available.")
    busy = Refused("rate_limit_exceeded", "Too many requests.", retry_after_seconds="7")

    assert sentence(await use(PublicApi({**API, "CreateVideo": broke}), "generate_video", **WANTED)) == (
        "insufficient_credits: The task costs 20 credits, and 3 are available. Choose something cheaper, or ask the"
        " owner of the key for credits. estimate_video tells prices."
    )
    assert sentence(await use(PublicApi({**API, "GetVideo": busy}), "get_video", id="vid_1")) == (
        "rate_limit_exceeded: Too many requests. Call again in 7 s."
    )


async def test_an_unknown_argument_is_refused_by_name() -> None:
    api = PublicApi(API)

    said = sentence(await use(api, "generate_video", **WANTED, seconds=4))

    assert said.startswith("invalid_request: seconds: ")
    assert "CreateVideo" not in api.names()


async def test_pages_of_nextapi_are_counted() -> None:
    listed = {"data": [{"id": "job_1", "status": "canceled"}], "limit": 1, "offset": 4, "has_more": True}
    api = PublicApi({**API, "ListJobs": listed})

    page = await use(api, "list_videos", NEXTAPI_KEY, limit=1, cursor="4")

    assert api.asked[-1].fields == {"limit": 1, "offset": 4}
    assert page.structured_content == {
        "videos": [{"id": "job_1", "status": "canceled", "finished": True}],
        "next_cursor": "5",
    }
    assert "next_cursor" in sentence(await use(api, "list_videos", NEXTAPI_KEY, cursor="x"))
