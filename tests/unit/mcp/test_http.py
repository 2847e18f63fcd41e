"""Who is let in over HTTP, and what others read."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from services.mcp.calls import Refused
from services.mcp.http import BODY_BYTES_MAX, REQUESTS_OF_KEY_MAX, build_app
from tests.fakes.public_api import PublicApi

BALANCE = {"data": {"available": 1.0, "held": 0.0}}
KEY = {"Authorization": "Bearer sk_seedancee2_test_a"}
ACCEPTED = {"Accept": "application/json, text/event-stream"}


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


GREETING = message(
    "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "test", "version": "1"}
)


@asynccontextmanager
async def server(api: PublicApi) -> AsyncIterator[httpx2.AsyncClient]:
    app = build_app(api)
    inner: Any = app._inside
    async with inner.router.lifespan_context(inner):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://any.host") as client:
            yield client


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "invalid_api_key"),
        ({"Authorization": "Basic c2s="}, "invalid_api_key"),
        ({"Authorization": "Bearer sk_other_test_a"}, "invalid_api_key"),
        # What is sent as `Authorization` counts, whatever else is sent.
        ({"Authorization": "Basic c2s=", "x-api-key": "sk_seedancee2_test_a"}, "invalid_api_key"),
    ],
)
async def test_without_a_key_of_ours_nothing_is_called(headers: Mapping[str, str], code: str) -> None:
    api = PublicApi({"GetBalance": BALANCE})
    async with server(api) as client:
        answer = await client.post("/mcp", json=GREETING, headers={**headers, **ACCEPTED})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error"]["code"] == code
    assert "Authorization: Bearer" in answer.json()["error"]["message"]
    assert api.asked == []


@pytest.mark.parametrize(
    ("key", "code", "error"),
    [
        ("sk_seedancee2_test_a", "invalid_api_key", {"code", "message", "type"}),
        ("nxa_test_sk_a", "unauthorized", {"code", "message"}),
    ],
)
@pytest.mark.parametrize("said", [GREETING, message("tools/call", name="get_balance", arguments={})])
async def test_a_key_that_does_not_work_is_401_too(
    key: str, code: str, error: set[str], said: dict[str, Any]
) -> None:
    async with server(PublicApi({"GetBalance": Refused(code, "Disabled.")})) as client:
        answer = await client.post("/mcp", json=said, headers={"x-api-key": key, **ACCEPTED})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error"].keys() == error
    assert answer.json()["error"]["code"] == code


async def test_an_outage_is_no_fault_of_the_key() -> None:
    async with server(PublicApi({"GetBalance": Refused("internal_error", "Away.")})) as client:
        answer = await client.post("/mcp", json=GREETING, headers={**KEY, **ACCEPTED})

    assert answer.status_code == 200
    assert answer.json()["result"]["serverInfo"]["name"] == "reelgate"


async def test_a_request_needs_no_session_and_any_host() -> None:
    async with server(PublicApi({"GetBalance": BALANCE})) as client:
        answer = await client.post("/mcp", json=message("tools/list"), headers={**KEY, **ACCEPTED})

    assert answer.status_code == 200
    assert "mcp-session-id" not in answer.headers
    assert len(answer.json()["result"]["tools"]) == 8


async def test_no_stream_is_kept_open() -> None:
    async with server(PublicApi({"GetBalance": BALANCE})) as client:
        answer = await client.get("/mcp", headers={**KEY, **ACCEPTED})

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


async def test_a_body_is_as_long_as_the_longest_request_needs() -> None:
    whole = {"prompt": "\U0001f6a3" * 10_000, "image_urls": ["https://a.test/" + 2_000 * "x"] * 9}
    call = message("tools/call", name="none", arguments=whole)
    async with server(PublicApi({"GetBalance": BALANCE})) as client:
        fits = await client.post("/mcp", json=call, headers={**KEY, **ACCEPTED})
        too_long = await client.post("/mcp", content=b"x" * (BODY_BYTES_MAX + 1), headers={**KEY, **ACCEPTED})

    assert len(json.dumps(call)) < BODY_BYTES_MAX
    assert fits.status_code == 200
    assert too_long.status_code == 413


async def test_one_key_leaves_others_their_room() -> None:
    let_go = asyncio.Event()
    arrived = {count: asyncio.Event() for count in (REQUESTS_OF_KEY_MAX, REQUESTS_OF_KEY_MAX + 1)}

    class Slow(PublicApi):
        begun = 0

        async def __call__(self, *arguments: Any, **options: Any) -> Any:
            self.begun += 1
            if self.begun in arrived:
                arrived[self.begun].set()
            await let_go.wait()
            return await super().__call__(*arguments, **options)

    call = message("tools/call", name="get_balance", arguments={})
    api = Slow({"GetBalance": BALANCE})
    async with server(api) as client:

        def post(key: str) -> Awaitable[httpx2.Response]:
            return client.post("/mcp", json=call, headers={"x-api-key": key, **ACCEPTED})

        held = [asyncio.ensure_future(post("sk_seedancee2_test_a")) for _ in range(REQUESTS_OF_KEY_MAX)]
        await arrived[REQUESTS_OF_KEY_MAX].wait()
        more = asyncio.ensure_future(post("sk_seedancee2_test_a"))
        let_in = asyncio.ensure_future(arrived[REQUESTS_OF_KEY_MAX + 1].wait())
        await asyncio.wait([more, let_in], return_when=asyncio.FIRST_COMPLETED)
        other = asyncio.ensure_future(post("nxa_test_sk_a"))
        let_go.set()
        let_in.cancel()
        refused, *answers = await asyncio.gather(more, *held, other)
        again = await post("sk_seedancee2_test_a")

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert {each.status_code for each in answers} == {200}
    assert again.status_code == 200


async def test_probes_need_no_key_and_tell_of_a_process_that_stops() -> None:
    app = build_app(PublicApi({}))
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://any.host"
    ) as client:
        before = [(await client.get(path)).status_code for path in ("/healthz", "/readyz")]
        app.leaves = True
        after = [(await client.get(path)).status_code for path in ("/healthz", "/readyz")]

    assert (before, after) == ([200, 200], [200, 503])
