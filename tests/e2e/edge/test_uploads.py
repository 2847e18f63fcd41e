"""Uploads through the edge: streamed to the host of media, and to nobody else."""

import io
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.e2e.edge.client import assert_clean, assert_not_found, assert_refused, send
from tests.e2e.edge.media import SIGNER
from tests.e2e.edge_process import RunningEdge

pytestmark = pytest.mark.asyncio(loop_scope="session")

FAR = 4_000_000_000
LARGE_BYTES = 29_000_000
GROWTH_BYTES_MAX = 16 * 1024 * 1024


def put_path(letter: str, *, size_max: int = 30_000_000) -> str:
    name = f"uploads/upl_{letter * 26}-{letter * 43}.png"
    return f"/media/{SIGNER.sign('PUT', name, expires_at=FAR, size_max=size_max)}"


def large_picture() -> bytes:
    with io.BytesIO() as file:
        Image.new("RGB", (400, 300)).save(file, "PNG")
        return file.getvalue().ljust(LARGE_BYTES, b"\0")


async def test_a_large_file_is_streamed_to_its_place(edge: RunningEdge, media_folder: Path) -> None:
    process = psutil.Process(edge.process.pid)
    before = process.memory_info().rss

    answer = await send(edge, "PUT", put_path("a"), large_picture())

    assert (answer.status, answer.body) == (201, b"")
    assert_clean(answer)
    assert process.memory_info().rss - before < GROWTH_BYTES_MAX
    [kept] = (media_folder / ".uploads").glob("upl_a*")
    assert kept.stat().st_size == LARGE_BYTES


async def test_refusals_of_the_host_arrive_as_they_are(edge: RunningEdge) -> None:
    too_large = await send(edge, "PUT", put_path("b", size_max=10), b"x" * 11)
    assert_refused(
        too_large, 413, "The file must have at most 10 bytes; it has 11.", code="request_too_large"
    )
    chunked = await send(edge, "PUT", put_path("b"), b"1\r\nx\r\n0\r\n\r\n", ["transfer-encoding: chunked"])
    assert_refused(chunked, 411, "Send the file with its Content-Length, not in chunks.")
    forged = await send(edge, "PUT", put_path("b").replace("4000000000", "4000000001"), b"x")
    assert_refused(
        forged,
        403,
        "The signature does not fit this address and method. Use the address exactly as it was given.",
    )


@pytest.mark.parametrize("path", ["/media/uploads/a/b.png", "/media/.uploads/b.png", "/media/uploads/.b.png"])
async def test_nothing_else_can_be_put(edge: RunningEdge, path: str) -> None:
    assert_not_found(await send(edge, "PUT", path, b"x"))
