"""Whose client it is, what it shows of itself, and what it lists."""

import ast
import asyncio
import logging
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx2
import pytest
import reelgate_client
from reelgate_client import VERSION, AuthenticationError, NextAPI, ReelgateError, Seedancee2, connect

from tests.unit.clients.python.conftest import CLASSES, KEYS, Bench
from tests.unit.clients.python.service import Reply

URL = "http://127.0.0.1:1"
BALANCE = Reply(200, {"data": {"available": 1, "held": 0}}, {"X-RateLimit-Remaining": "599"})


def kind(bench: Bench, contract: str = "seedancee2") -> Any:
    return CLASSES[contract, bench.mode]


@pytest.mark.parametrize(
    ("contract", "key", "message"),
    [
        ("seedancee2", None, "no API key"),
        ("seedancee2", KEYS["nextapi"], "no Seedancee2 key: those begin with sk_seedancee2_"),
        ("nextapi", KEYS["seedancee2"], "no NextAPI key"),
        ("seedancee2", "hunter2", "What was given is no Seedancee2 key"),
        ("seedancee2", "sk_seedancee2_prod_0123456789abcdefghij", "no Seedancee2 key"),
    ],
)
def test_a_key_that_is_not_of_the_contract_is_refused_before_it_is_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, contract: str, key: str | None, message: str
) -> None:
    monkeypatch.delenv("REELGATE_API_KEY", raising=False)

    with pytest.raises(AuthenticationError, match=message) as raised:
        kind(bench, contract)(key, URL)

    assert key is None or key not in str(raised.value)


@pytest.mark.parametrize(("said", "key"), [("test", "live"), ("live", "test")])
def test_a_key_of_another_environment_than_was_said_is_refused(bench: Bench, said: str, key: str) -> None:
    whole = KEYS["seedancee2"].replace("test", key)

    with pytest.raises(AuthenticationError, match=f"is a {key} key, and no {said} key"):
        kind(bench)(whole, URL, environment=said)

    assert bench.client(api_key=whole, environment=key).environment == key


def test_key_and_address_come_from_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELGATE_API_KEY", KEYS["seedancee2"])
    monkeypatch.setenv("REELGATE_BASE_URL", f"{bench.service.url}/")
    bench.service.replies = [BALANCE]

    client = bench.client(api_key=None, base_url=None)

    assert bench.do(client.balance()) == {"available": 1, "held": 0}


def test_an_address_without_a_scheme_is_refused(bench: Bench) -> None:
    with pytest.raises(ReelgateError, match="give base_url, or set REELGATE_BASE_URL"):
        kind(bench)(KEYS["seedancee2"], "api.example.com")


@pytest.mark.parametrize(("contract", "expected"), [("seedancee2", Seedancee2), ("nextapi", NextAPI)])
def test_connect_returns_the_client_of_the_key(contract: str, expected: type) -> None:
    with connect(KEYS[contract], URL) as client:
        assert type(client) is expected


def test_neither_repr_nor_log_nor_error_shows_the_key(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench.service.replies = [Reply(401, {"error": {"code": "invalid_api_key", "message": "m", "type": "t"}})]
    client = bench.client()

    with pytest.raises(AuthenticationError) as raised:
        bench.do(client.balance())

    shown = " ".join([repr(client), repr(client.core), repr(client.core.request("GET", "/")),
                      caplog.text, str(raised.value), repr(vars(raised.value))])  # fmt: skip
    assert KEYS["seedancee2"][14:] not in shown
    assert "api_key='sk_seedancee2_test_…klmn'" in repr(client)


def test_headers_are_recorded_where_that_is_asked_for(bench: Bench) -> None:
    bench.service.replies = [BALANCE]
    client = bench.client()

    with client.with_raw_response() as answers:
        bench.do(client.balance())
    bench.do(client.balance())

    [answer] = answers
    assert answer.headers["x-ratelimit-remaining"] == "599"
    assert answer.json == {"data": {"available": 1, "held": 0}}


def test_any_request_can_be_sent(bench: Bench) -> None:
    bench.service.replies = [Reply(200, {"data": []})]

    answer = bench.do(bench.client().request("POST", "/v1/new", {"a": 1}, idempotency_key="k"))

    [sent] = bench.service.received
    assert (sent.path, sent.json, sent.headers["idempotency-key"]) == ("/v1/new", {"a": 1}, "k")
    assert answer.json == {"data": []}


def test_what_is_not_the_api_is_an_error(bench: Bench) -> None:
    bench.service.replies = [Reply(200, b"<html>Sign in to the hotel</html>")]

    with pytest.raises(ReelgateError, match="something that is no JSON"):
        bench.do(bench.client().balance())


def test_seedancee2_lists_by_cursor(bench: Bench) -> None:
    videos = [{"id": f"vid_{number}", "status": "failed"} for number in range(3)]
    bench.service.replies = [
        Reply(200, {"data": videos[:2], "next_after": "vid_1"}),
        Reply(200, {"data": videos[2:]}),
    ]

    listed = bench.do(bench.client().videos.list(status="failed", limit=2))

    assert [each.id for each in listed] == ["vid_0", "vid_1", "vid_2"]
    assert [each.path.partition("?")[2] for each in bench.service.received] == [
        "limit=2&status=failed",
        "limit=2&status=failed&after=vid_1",
    ]


def test_nextapi_lists_by_offset_and_shows_no_job_twice(bench: Bench) -> None:
    def page(offset: int, *numbers: int, more: bool) -> Reply:
        jobs = [{"id": f"job_{number}", "status": "queued"} for number in numbers]
        return Reply(200, {"data": jobs, "limit": 2, "offset": offset, "has_more": more})

    bench.service.replies = [page(0, 5, 4, more=True), page(2, 4, 3, more=True), page(4, 2, more=False)]

    listed = bench.do(bench.client("nextapi").videos.list(limit=2))

    assert [each.id for each in listed] == ["job_5", "job_4", "job_3", "job_2"]
    assert [each.path.partition("offset=")[2] for each in bench.service.received] == ["", "2", "4"]


def test_a_list_is_read_no_further_than_it_is_looked_at(bench: Bench) -> None:
    bench.service.replies = [Reply(200, {"data": [{"id": "a", "status": "pending"}], "next_after": "a"})]
    client = bench.client()

    async def first() -> Any:
        return (await anext(client.videos.list())).id

    assert (bench.do(first()) if bench.mode == "async" else next(client.videos.list()).id) == "a"
    assert len(bench.service.received) == 1


def test_an_http_client_of_ones_own_is_used_and_left_open(bench: Bench) -> None:
    bench.service.replies = [BALANCE]
    with httpx2.Client(headers={"X-Proxy": "ours"}) as http:
        with Seedancee2(KEYS["seedancee2"], bench.service.url, http_client=http) as client:
            client.balance()
        assert not http.is_closed
    assert bench.service.received[0].headers["x-proxy"] == "ours"


def test_credentials_of_an_http_client_do_not_replace_the_key(bench: Bench) -> None:
    bench.service.replies = [BALANCE]
    with httpx2.Client(auth=("user", "word")) as http:
        Seedancee2(KEYS["seedancee2"], bench.service.url, http_client=http).balance()

    assert bench.service.received[0].headers["authorization"] == f"Bearer {KEYS['seedancee2']}"


def test_a_client_that_blocks_works_where_a_loop_runs(bench: Bench) -> None:
    bench.service.replies = [Reply(200, {"data": [{"id": "a", "status": "pending"}], "next_after": "a"})]

    async def in_a_notebook() -> str:
        with Seedancee2(KEYS["seedancee2"], bench.service.url) as client:
            return next(client.videos.list()).id

    assert asyncio.run(in_a_notebook()) == "a"


def test_a_method_has_the_help_of_its_function(bench: Bench) -> None:
    client = bench.client()

    assert client.balance.__doc__ == "Returns the credits that are available and held."
    assert client.balance.__name__ == "balance"


def test_every_error_has_one_base() -> None:
    found = [getattr(reelgate_client, name) for name in dir(reelgate_client) if name.endswith("Error")]

    assert len(found) == 13
    assert all(issubclass(each, ReelgateError) for each in found)


SOURCE = Path(reelgate_client.__file__).parent
WRITTEN = [each for each in sorted(SOURCE.glob("*.py")) if each.name != "__init__.py"]
"""By hand. Types are generated, __init__.py lists names, and the command line is another thing."""


def lines_of_code(text: str) -> int:
    """Counts lines that are neither empty nor a comment nor a docstring."""
    tree = ast.parse(text)
    said = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    lines = enumerate(text.splitlines(), start=1)
    return sum(1 for number, line in lines if line.split("#")[0].strip() and number not in said)


def test_the_client_stays_small() -> None:
    assert sum(lines_of_code(each.read_text()) for each in WRITTEN) <= 1000


def test_the_client_needs_httpx2_and_nothing_else() -> None:
    imported = {
        name.partition(".")[0]
        for each in WRITTEN
        for node in ast.walk(ast.parse(each.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        )
    }

    # typing_extensions is for type checkers alone.
    assert imported - sys.stdlib_module_names == {"httpx2", "reelgate_client", "typing_extensions"}


def test_an_http_client_of_the_other_kind_is_refused(bench: Bench) -> None:
    other: Any = httpx2.AsyncClient if bench.mode == "sync" else httpx2.Client

    with pytest.raises(TypeError, match=r"http_client is an httpx2\.(Async)?Client, and not"):
        bench.client(http_client=other())


def test_the_client_says_the_version_of_its_distribution_which_is_that_of_the_services() -> None:
    root = SOURCE.parents[3]
    versions = {
        tomllib.loads((root / folder / "pyproject.toml").read_text())["project"]["version"]
        for folder in (".", "clients/python")
    }

    assert versions == {VERSION}
