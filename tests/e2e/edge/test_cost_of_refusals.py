"""What a refusal costs grows with the bytes of the request, whatever words these are."""

import json
import re

import psutil
import pytest

from services.edge.errors import LUA
from services.edge.transcoding import BODY_BYTES_MAX
from tests.e2e.edge.client import Answer, send
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIDEOS = "/v1/videos/generations"
FILLED_BYTES = BODY_BYTES_MAX - 1024
HARMLESS_REQUESTS = 20
HOSTILE_REQUESTS = 4
CLOCK_SECONDS = 0.01
COST_RATIO_MAX = 10
"""Doubling a body at most doubles what it costs; words that backtrack cost a thousand times as much."""

LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'')


def known_words() -> list[str]:
    """Returns every text of the Lua that can be part of a message."""
    found = LITERAL.findall(LUA.read_text(encoding="utf-8"))
    return sorted({text for pair in found for text in pair if len(text) > 5 and " " in text})


def filled(words: str) -> str:
    return (words * (FILLED_BYTES // len(words) + 1))[:FILLED_BYTES]


def as_value(text: str) -> str:
    return json.dumps({"model": "mini", "input": {"prompt": "waves", "duration": text}})


def as_name(text: str) -> str:
    return json.dumps({"model": "mini", "input": {text: 1, "duration": []}})


def as_no_json(text: str) -> str:
    return '{"model":' + text


SHAPES = {"value": as_value, "name": as_name, "no JSON": as_no_json}


async def cpu_seconds(edge: RunningEdge, body: str, *, requests: int) -> tuple[float, Answer]:
    """Returns what one such request costs Envoy, of `requests`, and the last answer."""
    process = psutil.Process(edge.process.pid)
    before = process.cpu_times()
    for _ in range(requests):
        answer = await send(edge, "POST", VIDEOS, body)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / requests, answer


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_words_of_a_rewrite_cost_no_more_per_byte_than_others(
    edge: RunningEdge, upstream: Upstream, shape: str
) -> None:
    hostile = [*known_words(), ": invalid value oneof field x is already set. Cannot set 'x' for type oneof"]
    harmless, _ = await cpu_seconds(edge, SHAPES[shape](filled("x")), requests=HARMLESS_REQUESTS)

    costs = {}
    for words in [*hostile, "".join(hostile)]:
        body = SHAPES[shape](filled(words))
        costs[words], answer = await cpu_seconds(edge, body, requests=HOSTILE_REQUESTS)
        assert (answer.status, set(answer.json)) == (400, {"error"}), words
        assert len(answer.body) < 1024, words

    most = COST_RATIO_MAX * max(harmless, CLOCK_SECONDS / HOSTILE_REQUESTS)
    assert {words: cost for words, cost in costs.items() if cost > most} == {}
    assert (await send(edge, "GET", "/healthz")).status == 200
    assert upstream.calls == []


async def test_a_long_query_is_refused_without_reading_all_of_it(
    edge: RunningEdge, upstream: Upstream
) -> None:
    shown = await send(edge, "GET", f"{VIDEOS}?strange=1&{'limit=1&' * 500}")
    beyond = await send(edge, "GET", f"{VIDEOS}?{'limit=1&' * 500}strange=1")
    cut_in_two = await send(edge, "GET", f"{VIDEOS}?after={'x' * 220}&limit=1&strange=1")

    messages = [answer.json["error"]["message"].split(".")[0] for answer in (shown, beyond, cut_in_two)]
    assert messages == [
        'Unknown query parameter "strange"',
        "Unknown query parameter",
        "Unknown query parameter",
    ]
    assert upstream.calls == []
