"""What a request costs the edge grows with its bytes, whatever words these are."""

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
QUERY_BYTES = 7_000
HARMLESS_REQUESTS = 20
HOSTILE_REQUESTS = 4
CLOCK_SECONDS = 0.01
COST_RATIO_MAX = 20
"""What has many parts costs up to ten times what has one; whatever goes back to where it was costs a thousand times as much."""

LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'')


def known_words() -> list[str]:
    """Returns every text of the Lua that can be part of a message."""
    found = LITERAL.findall(LUA.read_text(encoding="utf-8"))
    return sorted({text for pair in found for text in pair if len(text) > 5 and " " in text})


def filled(words: str, length: int = FILLED_BYTES) -> str:
    return (words * (length // len(words) + 1))[:length]


def whole(words: str, *, first: str = "", last: str = "") -> str:
    """As many of the words as fit, unbroken."""
    return first + words * (FILLED_BYTES // len(words)) + last


def different_names() -> str:
    """Names of one length that differ where a sparse hash does not look."""
    names = (f'"{"a" * 16}{number:06}{"a" * 42}":1' for number in range(FILLED_BYTES // 70))
    return f'{{"metadata":{{{",".join(names)}}}}}'


HOSTILE = {
    "texts in a list": whole('"a",', first='{"input":{"image_urls":[', last='"a"]}}'),
    "numbers": whole("1,", first='{"metadata":{"a":[', last="1]}}"),
    "numbers of 17 digits": whole("0.30000000000000004,", first='{"metadata":{"a":[', last="1]}}"),
    "small numbers": whole("1e-99,", first='{"metadata":{"a":[', last="1]}}"),
    "small numbers of 17 digits": whole("0.12345678901234567e-90,", first='{"metadata":{"a":[', last="1]}}"),
    "one long number": whole("1", first='{"metadata":{"a":', last="}}"),
    "a number of zeros": whole("0", first='{"metadata":{"a":0.', last="1}}"),
    "empty lists": whole("[],", first='{"metadata":{"a":[', last="1]}}"),
    "objects": whole('{"a":1},', first='{"metadata":{"a":[', last="1]}}"),
    "white space": whole("1 \n, ", first='{"metadata":{"a":[', last="1]}}"),
    "line breaks and a fault": whole("\n", first="{", last="x"),
    "opened lists": whole("["),
    "opened objects": whole('{"a":', first='{"metadata":'),
    "escapes": whole("\\u00e9", first='{"model":"', last='"}'),
    "a name of escapes": whole("\\ud83d\\ude00", first='{"metadata":{"', last='":1}}'),
    "an unknown name": whole("😀", first='{"', last='":1}').encode()[:FILLED_BYTES].decode(errors="ignore")
    + '":1}',
    "other alphabets": whole("éa", first='{"model":"', last='"}').encode()[:FILLED_BYTES].decode(),
    "quotes without end": whole('\\"', first='{"model":"'),
    "different names": different_names(),
}


async def cpu_seconds(
    edge: RunningEdge, body: str, *, requests: int, query: str = ""
) -> tuple[float, Answer]:
    """Returns what one such request costs Envoy, of `requests`, and the last answer."""
    process = psutil.Process(edge.process.pid)
    before = process.cpu_times()
    for _ in range(requests):
        answer = await send(edge, "GET" if query else "POST", VIDEOS + query, body)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / requests, answer


async def test_no_body_costs_more_per_byte_than_its_parts(edge: RunningEdge, upstream: Upstream) -> None:
    plain = json.dumps({"model": "mini", "input": {"prompt": filled("x"), "duration": []}})
    harmless, _ = await cpu_seconds(edge, plain, requests=HARMLESS_REQUESTS)

    costs = {}
    for name, body in HOSTILE.items():
        assert len(body.encode()) <= BODY_BYTES_MAX, name
        costs[name], answer = await cpu_seconds(edge, body, requests=HOSTILE_REQUESTS)
        assert (answer.status, set(answer.json)) == (400, {"error"}), name
        assert len(answer.body) < 1024, name

    most = COST_RATIO_MAX * max(harmless, CLOCK_SECONDS / HOSTILE_REQUESTS)
    assert {name: cost for name, cost in costs.items() if cost > most} == {}
    assert (await send(edge, "GET", "/healthz")).status == 200
    assert upstream.calls == []


async def test_the_words_of_a_rewrite_cost_no_more_than_others(edge: RunningEdge, upstream: Upstream) -> None:
    hostile = [*known_words(), ": invalid value oneof field x is already set. Cannot set 'x' for type oneof"]
    for words in [*hostile, "".join(hostile), "x"]:
        query = f"?limit={filled(words.replace(' ', '+'), QUERY_BYTES)}"
        cost, answer = await cpu_seconds(edge, "", requests=HOSTILE_REQUESTS, query=query)
        assert (answer.status, set(answer.json)) == (400, {"error"}), words
        assert len(answer.body) < 1024, words
        assert cost <= COST_RATIO_MAX * CLOCK_SECONDS / HOSTILE_REQUESTS, words
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
