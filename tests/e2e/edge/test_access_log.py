"""The access log names routes. What a path, a query, a header or a body holds is a secret or somebody's data."""

import json

import pytest

from tests.e2e.edge.client import Answer, exchange, logged, send
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKEN = "SecretOfACallback"
VIDEOS = "/v1/videos/generations"
CALLBACK = "POST /callbacks/{token}"


def assert_tells_nothing(edge: RunningEdge, answer: Answer) -> None:
    """Neither the log nor the answer holds the token, which is in the path."""
    assert TOKEN not in edge.log.read_text()
    assert TOKEN not in str(answer.headers)
    assert TOKEN not in answer.body.decode()


@pytest.mark.parametrize(
    ("method", "path", "body", "route", "status"),
    [
        ("POST", f"/callbacks/{TOKEN}", "{}", CALLBACK, 200),
        ("POST", f"/callbacks/{TOKEN}", " " * 300_000, CALLBACK, 413),
        ("POST", f"/callbacks/{TOKEN}?strange=1", "{}", CALLBACK, 400),
        ("POST", f"/callbacks/{TOKEN}/", "{}", "none", 404),
        ("GET", f"/callbacks/{TOKEN}", "", "none", 404),
        ("GET", f"/callbacks/{TOKEN}", "{}", "GET with a body", 400),
        ("POST", f"/callbacks/./{TOKEN}", "{}", CALLBACK, 200),
        ("GET", f"/v1/models/{TOKEN}", "", "GET /v1/models/{id}", 200),
        ("GET", f"{VIDEOS}?after={TOKEN}", "", f"GET {VIDEOS}", 200),
        ("GET", f"/media/{TOKEN}.mp4", "", "GET /media/*", 404),
        ("POST", VIDEOS, f'{{"input":{{"prompt":["{TOKEN}"]}}}}', f"POST {VIDEOS}", 400),
    ],
)
async def test_a_line_names_the_route_and_nothing_that_was_sent(
    edge: RunningEdge, upstream: Upstream, method: str, path: str, body: str, route: str, status: int
) -> None:
    answer = await send(edge, method, path, body, [f"referer: https://x/{TOKEN}", f"user-agent: {TOKEN}"])

    line = await logged(edge, answer.headers["x-request-id"])
    assert (line["method"], line["route"], line["status"]) == (method, route, status)
    assert answer.status == status
    assert_tells_nothing(edge, answer)


async def test_a_body_that_quotes_itself_in_a_refusal_is_not_logged(
    edge: RunningEdge, upstream: Upstream
) -> None:
    body = json.dumps({"model": "mini", "input": {"prompt": "waves", "duration": TOKEN}})

    answer = await send(edge, "POST", VIDEOS, body)

    assert TOKEN in answer.json["error"]["message"]
    line = await logged(edge, answer.headers["x-request-id"])
    assert (line["route"], line["status"]) == (f"POST {VIDEOS}", 400)
    assert TOKEN not in edge.log.read_text()


async def test_what_is_not_http_is_logged_without_what_it_says(edge: RunningEdge) -> None:
    answer = await exchange(edge, f"POST /callbacks/{TOKEN} NONSENSE\r\n\r\n".encode())

    line = await logged(edge, "codec_error")
    assert line["status"] == answer.status == 400
    assert TOKEN not in edge.log.read_text()


async def test_a_service_that_is_away_leaves_no_token_behind(upstream: Upstream) -> None:
    nowhere = "127.0.0.1:1"
    async with running_edge(jobs_targets=nowhere, billing_targets=nowhere, ready_path="/healthz") as edge:
        answer = await send(edge, "POST", f"/callbacks/{TOKEN}", "{}")

        assert ((await logged(edge, answer.headers["x-request-id"]))["route"], answer.status) == (
            CALLBACK,
            503,
        )
        assert_tells_nothing(edge, answer)
