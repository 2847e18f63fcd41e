"""Over HTTP a method is called at the address that its proto says."""

import json
from collections.abc import Callable

import httpx2
import pytest

from services.mcp.calls import Refused
from services.mcp.methods import JOBS, VIDEOS
from services.mcp.over_http import _Calls

KEY = "sk_seedancee2_test_a"


def calls(handle: Callable[[httpx2.Request], httpx2.Response]) -> _Calls:
    return _Calls(httpx2.AsyncClient(transport=httpx2.MockTransport(handle), base_url="https://api.test"))


async def test_a_creation_is_posted_with_key_and_name() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={"data": {"id": "vid_1"}})

    found = await calls(answer)(VIDEOS["CreateVideo"], {"model": "mini"}, key=KEY, idempotency_key="boat-1")

    [request] = seen
    assert found == {"data": {"id": "vid_1"}}
    assert (request.method, str(request.url)) == ("POST", "https://api.test/v1/videos/generations")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["idempotency-key"] == "boat-1"
    assert json.loads(request.content) == {"model": "mini"}


async def test_an_id_stands_in_the_path_and_the_rest_in_the_query() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"url": str(request.url), "body": request.content.decode()})

    found = await calls(answer)(JOBS["GetJob"], {"id": "job_1", "wait": 45}, key="nxa_test_sk_a")

    assert found == {"url": "https://api.test/v1/video/generations/job_1?wait=45", "body": ""}


@pytest.mark.parametrize("video_id", ["../balance", "a/b", "", "a?b", "%2e%2e"])
async def test_what_is_no_id_leads_nowhere(video_id: str) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise AssertionError(request.url)

    with pytest.raises(Refused, match="invalid_request"):
        await calls(answer)(VIDEOS["GetVideo"], {"id": video_id}, key=KEY)


async def test_a_refusal_keeps_code_sentence_and_pause() -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        error = {"code": "rate_limit_exceeded", "message": "Slow down.", "type": "rate_limit_error"}
        return httpx2.Response(429, json={"error": error}, headers={"Retry-After": "3"})

    with pytest.raises(Refused) as refused:
        await calls(answer)(VIDEOS["GetVideo"], {"id": "vid_1"}, key=KEY)

    assert str(refused.value) == "rate_limit_exceeded: Slow down."
    assert refused.value.retry_after_seconds == "3"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error": "no"}'])
async def test_what_is_no_answer_of_the_api_is_an_outage(body: bytes) -> None:
    with pytest.raises(Refused, match="internal_error: The server answered 502"):
        await calls(lambda _: httpx2.Response(502, content=body))(VIDEOS["GetVideo"], {"id": "a"}, key=KEY)


async def test_who_does_not_answer_is_named() -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    with pytest.raises(Refused, match=r"internal_error: https://api\.test"):
        await calls(fail)(VIDEOS["GetVideo"], {"id": "vid_1"}, key=KEY)
