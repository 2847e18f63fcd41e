"""A customer who sends exactly these bytes, however odd."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.conformance import check_envelope
from tests.e2e.edge_process import RunningEdge
from tests.patience import PATIENCE_SECONDS

HEAD_BYTES_MAX = 64 * 1024
LEAKS = ("grpc-", "x-envoy-", "x-api-", "server", "trailer")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def send(
    edge: RunningEdge,
    method: str,
    path: str,
    body: bytes | str = b"",
    headers: Iterable[str] = (),
    *,
    sender: str | None = None,
) -> Answer:
    """Sends one request, headers as they are given, and returns the answer. Raises TimeoutError, OSError.

    A refusal must be an error object as the OpenAPI documents show it. What else the services behind this edge answer is made up.
    """
    content = body.encode() if isinstance(body, str) else body
    lines = [f"{method} {path} HTTP/1.1", "host: edge", "connection: close", *headers]
    if content and not any(line.startswith("transfer-encoding:") for line in lines):
        lines.append(f"content-length: {len(content)}")
    answer = await exchange(edge, "\r\n".join([*lines, "", ""]).encode() + content, sender=sender)
    if answer.status >= 400 and answer.body and path.startswith("/v1/"):
        check_envelope(answer.body)
    return answer


async def wait_for_status(edge: RunningEdge, path: str, status: int) -> None:
    """Returns once a GET of `path` is answered with `status`. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if (await send(edge, "GET", path)).status == status:
                return
            await asyncio.sleep(0.02)


async def logged(edge: RunningEdge, part: str) -> dict[str, Any]:
    """Returns the first line of the access log that holds `part`, such as a request id. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            for line in edge.log.read_text().splitlines():
                if part in line:
                    found: dict[str, Any] = json.loads(line)
                    return found
            await asyncio.sleep(0.1)


async def exchange(edge: RunningEdge, request: bytes, *, sender: str | None = None) -> Answer:
    """Sends bytes on a connection of their own, from the address `sender`, and returns the one answer."""
    return await exchange_with(edge.address, request, sender=sender)


async def exchange_with(address: str, request: bytes, *, sender: str | None = None) -> Answer:
    """Does the same with what listens at `host:port`."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(PATIENCE_SECONDS):
        local = (sender, 0) if sender else None
        reader, writer = await asyncio.open_connection(
            host, int(port), limit=HEAD_BYTES_MAX, local_addr=local
        )
        try:
            writer.write(request)
            return await _answer(reader, writer, whole=request.startswith(b"HEAD "))
        finally:
            writer.transport.abort()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, whole: bool) -> Answer:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    status = int(first.split()[1])
    # With 204 and 304 there is no body, whatever the headers say. A stream is read as it comes, its marks included.
    is_open = whole or status in {204, 304} or headers.get("transfer-encoding") == "chunked"
    length = None if is_open else int(headers["content-length"])
    if length is not None:
        return Answer(status, headers, await reader.readexactly(length))
    # The edge closes then what it would keep open for more requests.
    writer.write_eof()
    return Answer(status, headers, await reader.read())


def assert_clean(answer: Answer) -> None:
    """Every answer has a request id, and no header tells what is behind the edge."""
    assert answer.headers["x-request-id"]
    assert [name for name in answer.headers if name.startswith(LEAKS)] == []


def assert_refused(
    answer: Answer, status: int, message: str, *, code: str = "invalid_request", kind: str | None = None
) -> None:
    """The answer is exactly the error envelope of the contract."""
    expected = {"code": code, "message": message, "type": kind or "invalid_request_error"}
    assert (answer.status, answer.json) == (status, {"error": expected})
    assert answer.headers["content-type"] == "application/json"
    assert_clean(answer)


def assert_refused_by_nextapi(
    answer: Answer, status: int, message: str, *, code: str = "invalid_request"
) -> None:
    """The answer is exactly the error envelope of the NextAPI contract."""
    assert (answer.status, answer.json) == (status, {"error": {"code": code, "message": message}})
    assert answer.headers["content-type"] == "application/json"
    assert_clean(answer)


def assert_not_found(answer: Answer) -> None:
    assert_refused(answer, 404, "There is no such endpoint. Check the method and the path.", code="not_found")


def assert_failed(answer: Answer, status: int) -> None:
    assert_refused(answer, status, "Unexpected server error.", code="internal_error", kind="api_error")
