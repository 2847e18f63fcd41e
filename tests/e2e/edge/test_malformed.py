"""What is no proper HTTP, or asks for what HTTP has and the edge has not: a 4xx that says what to change, and the envelope."""

import itertools

import pytest

from services.edge.malformed import MALFORMED, UNREAD
from tests.e2e.edge.client import (
    Answer,
    assert_not_found,
    assert_refused,
    assert_refused_by_nextapi,
    exchange,
    logged,
    send,
)
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIDEOS = "/v1/videos/generations"
JOBS = "/v1/video/generations"
CHUNKED = b"2\r\n{}\r\n0\r\n\r\n"
SAYS = {details: message for details, _, _, message in (*UNREAD, *MALFORMED)}
NO_HTTP = SAYS["http1.codec_error"]
BAD_PATH = SAYS["http1.invalid_url"]
BAD_HEADER = SAYS["http1.invalid_characters"]
CODED = SAYS["http1.invalid_transfer_encoding"]
PATH_ALONE = SAYS["http1.invalid_scheme"]
NO_HOST = SAYS["missing_host_header"]
BAD_HOST = SAYS["http.invalid_authority"]
TWO_LENGTHS = SAYS["http1.content_length_and_chunked_not_allowed"]
LARGE_HEADERS = "The request headers must be at most 8 KiB in at most 64 lines."


def post(*headers: str, body: bytes = b"{}") -> bytes:
    return "\r\n".join([f"POST {VIDEOS} HTTP/1.1", "host: edge", *headers, "", ""]).encode() + body


def get(*headers: str, line: str = "GET /v1/models HTTP/1.1") -> bytes:
    return "\r\n".join([line, "host: edge", *headers, "", ""]).encode()


CODINGS = (
    "gzip, chunked",
    "gzip",
    "deflate",
    "br",
    "zstd, chunked",
    "chunked, gzip",
    "chunked, chunked",
    "x",
)
NOT_HTTP: dict[str, tuple[bytes, int, str]] = {
    **{
        f"{coding} in {method}": (
            post(f"transfer-encoding: {coding}", body=CHUNKED).replace(b"POST", method.encode(), 1),
            415,
            CODED,
        )
        for coding, method in itertools.product(CODINGS, ("POST", "PATCH", "GET", "DELETE"))
    },
    "codings in two lines": (
        post("transfer-encoding: gzip", "transfer-encoding: chunked", body=CHUNKED),
        415,
        CODED,
    ),
    "a coding and a length": (post("transfer-encoding: chunked", "content-length: 2"), 400, TWO_LENGTHS),
    **{
        f"length {length}": (post(f"content-length: {length}"), 400, NO_HTTP)
        for length in ("-1", "+2", "two", "2, 2", "0x2", "9" * 30, "", "2 2")
    },
    "two lengths": (post("content-length: 1", "content-length: 2"), 400, NO_HTTP),
    "the same length twice": (post("content-length: 2", "content-length: 2"), 400, NO_HTTP),
    **{
        f"chunk {chunk!r}": (post("transfer-encoding: chunked", body=chunk), 400, NO_HTTP)
        for chunk in (
            b"zz\r\n{}\r\n0\r\n\r\n",
            b"-2\r\n{}\r\n0\r\n\r\n",
            b"fffffffffffffffff\r\n{}\r\n",
            b"2\r\n{}xx0\r\n\r\n",
            b"\r\n{}\r\n0\r\n\r\n",
        )
    },
    "no HTTP": (b"NONSENSE\r\n\r\n", 400, NO_HTTP),
    "TLS where none is spoken": (bytes.fromhex("160301020001000001fc0303") + b"x" * 64, 400, NO_HTTP),
    "a space in the path": (get(line="GET /v1/mo dels HTTP/1.1"), 400, NO_HTTP),
    "a path outside ASCII": (get(line="GET /v1/modèls HTTP/1.1"), 400, NO_HTTP),
    "a path without its slash": (get(line="GET v1/models HTTP/1.1"), 400, NO_HTTP),
    "a header without a colon": (get("nonsense"), 400, NO_HTTP),
    "a space before the colon": (get("a : b"), 400, NO_HTTP),
    "a header without a name": (get(": b"), 400, NO_HTTP),
    "a zero byte in a header": (get("a: b\0c"), 400, BAD_HEADER),
    "a control character in a header": (get("a: b\x01c"), 400, BAD_HEADER),
    "a fragment": (get(line="GET /v1/models#a HTTP/1.1"), 400, BAD_PATH),
    "a zero byte in the path": (get(line="GET /v1/models/a%00b HTTP/1.1"), 400, BAD_PATH),
    "a star": (get(line="GET * HTTP/1.1"), 400, BAD_PATH),
    "a star of OPTIONS": (get(line="OPTIONS * HTTP/1.1"), 400, BAD_PATH),
    "CONNECT to a path": (get(line="CONNECT /v1/models HTTP/1.1"), 400, BAD_PATH),
    "a https address": (get(line="GET https://edge/v1/models HTTP/1.1"), 400, PATH_ALONE),
    "an ftp address": (get(line="GET ftp://edge/v1/models HTTP/1.1"), 400, PATH_ALONE),
    "no host": (b"GET /v1/models HTTP/1.1\r\n\r\n", 400, NO_HOST),
    "a path for a host": (b"GET /v1/models HTTP/1.1\r\nhost: a/b\r\n\r\n", 400, BAD_HOST),
    "a space in the host": (b"GET /v1/models HTTP/1.1\r\nhost: a b\r\n\r\n", 400, BAD_HOST),
    "many headers": (get(*["a: b"] * 80), 431, LARGE_HEADERS),
    "a large header": (get(f"a: {'b' * 9000}"), 431, LARGE_HEADERS),
    "a long path": (get(line=f"GET /v1/models?{'a' * 9000} HTTP/1.1"), 431, LARGE_HEADERS),
    "HTTP/0.9": (b"GET /v1/models\r\n\r\n", 426, "Use HTTP/1.1 or HTTP/2."),
    "HTTP/1.2": (get(line="GET /v1/models HTTP/1.2"), 426, "Use HTTP/1.1 or HTTP/2."),
    "HTTP/2.0": (get(line="GET /v1/models HTTP/2.0"), 426, "Use HTTP/1.1 or HTTP/2."),
}


@pytest.mark.parametrize("case", NOT_HTTP)
async def test_a_request_that_cannot_be_read_is_told_what_to_change(
    edge: RunningEdge, upstream: Upstream, case: str
) -> None:
    request, status, message = NOT_HTTP[case]

    answer = await exchange(edge, request)

    assert_refused(answer, status, message)
    assert upstream.calls == []


METHODS = (
    *("CONNECT", "TRACE", "OPTIONS", "PUT", "PROPFIND", "PURGE", "LINK", "QUERY", "SEARCH", "M-SEARCH"),
    *("FOO", "get", "Post", "PRI", "X" * 300),
)
BODIES = {
    "no body": ([], b""),
    "a body": (["content-length: 2"], b"{}"),
    "chunks": (["transfer-encoding: chunked"], CHUNKED),
    "chunks that do not end": (["transfer-encoding: chunked"], b"2\r\n{}\r\n"),
}


@pytest.mark.parametrize(("method", "body"), list(itertools.product(METHODS, BODIES)))
@pytest.mark.parametrize("path", [VIDEOS, JOBS])
async def test_a_method_that_no_endpoint_has_is_not_found(
    edge: RunningEdge, upstream: Upstream, method: str, body: str, path: str
) -> None:
    headers, content = BODIES[body]
    target = "edge:443" if method == "CONNECT" else path
    line = f"{method} {target} HTTP/1.1"

    answer = await exchange(edge, "\r\n".join([line, "host: edge", *headers, "", ""]).encode() + content)

    if method == "CONNECT" and "chunks" in body:
        assert_refused(answer, 415, CODED)
    elif path == JOBS and method != "CONNECT":
        assert_refused_by_nextapi(answer, 404, SAYS["upgrade_failed"], code="not_found")
    else:
        assert_not_found(answer)
    assert upstream.calls == []


ALLOWED = {
    "an address of http": get(line="GET http://edge/v1/models HTTP/1.1"),
    "another address of http": get(line="GET http://other:81/v1/models HTTP/1.1"),
    "a folded header": get("a: b", " c"),
    "a header in Latin-1": b"GET /v1/models HTTP/1.1\r\nhost: edge\r\na: \xff\r\n\r\n",
    "an empty host": b"GET /v1/models HTTP/1.1\r\nhost:\r\n\r\n",
    "an expectation nobody knows": get("expect: 200-ok"),
    "line feeds alone": b"GET /v1/models HTTP/1.1\nhost: edge\n\n",
}


@pytest.mark.parametrize("case", ALLOWED)
async def test_what_is_odd_but_clear_is_served(edge: RunningEdge, upstream: Upstream, case: str) -> None:
    answer = await exchange(edge, ALLOWED[case])

    assert answer.status == 200
    assert [call.method for call in upstream.calls] == ["ListModels"]


async def test_a_refusal_that_does_not_need_the_body_does_not_wait_for_it(
    edge: RunningEdge, upstream: Upstream
) -> None:
    unending = ["transfer-encoding: chunked"]

    def assert_at_once(answer: Answer, status: int) -> None:
        assert answer.status == status
        assert answer.headers["connection"] == "close"

    assert_at_once(await send(edge, "POST", "/v1/nothing", "1\r\n{\r\n", unending), 404)
    assert_at_once(await send(edge, "POST", f"{VIDEOS}?a=b", "1\r\n{\r\n", unending), 400)


async def test_of_a_method_the_log_shows_no_more_than_a_real_one_has(edge: RunningEdge) -> None:
    answer = await send(edge, "SecretOfSomebody", "/v1/models")

    line = await logged(edge, answer.headers["x-request-id"])
    assert line["method"] == "SecretO"
    assert "SecretOfSomebody" not in edge.log.read_text()
