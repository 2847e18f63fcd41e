import os
from pathlib import Path

import psutil
import pytest

from tests.e2e.edge.client import assert_clean, assert_not_found, assert_refused, send
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILM = bytes(range(256)) * 400
LARGE_BYTES = 200_000_000
GROWTH_BYTES_MAX = 32 * 1024 * 1024


@pytest.fixture(scope="session")
def day(media_folder: Path) -> Path:
    folder = media_folder / "videos" / "2026" / "01" / "02"
    folder.mkdir(parents=True)
    for name in ("vid_1.mp4", "vid_1.jpg", ".hidden.mp4", "vid_2.mp4.tmp", "vid_2.mp4#1", "notes.txt"):
        (folder / name).write_bytes(FILM)
    (folder / "folder.mp4").mkdir()
    (folder / "link.mp4").symlink_to(folder / "vid_1.mp4")
    os.mkfifo(folder / "pipe.mp4")
    (media_folder.parent / "outside.mp4").write_bytes(b"secret")
    return folder


@pytest.mark.parametrize(("name", "content_type"), [("vid_1.mp4", "video/mp4"), ("vid_1.jpg", "image/jpeg")])
async def test_a_file_is_served_for_ever(edge: RunningEdge, day: Path, name: str, content_type: str) -> None:
    answer = await send(edge, "GET", f"/media/videos/2026/01/02/{name}")

    assert (answer.status, answer.body) == (200, FILM)
    shown = {header: answer.headers[header] for header in ("content-type", "accept-ranges", "cache-control")}
    assert shown == {
        "content-type": content_type,
        "accept-ranges": "bytes",
        "cache-control": "public, max-age=31536000, immutable",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert_clean(answer)


async def test_a_head_tells_the_size_and_sends_nothing(edge: RunningEdge, day: Path) -> None:
    answer = await send(edge, "HEAD", "/media/videos/2026/01/02/vid_1.mp4")

    assert (answer.status, answer.headers["content-length"], answer.body) == (200, str(len(FILM)), b"")


@pytest.mark.parametrize("name", ["vid_3.mp4", "notes.txt", "folder.mp4", "link.mp4", "pipe.mp4"])
async def test_what_is_no_media_file_is_not_found_and_not_kept(
    edge: RunningEdge, day: Path, name: str
) -> None:
    answer = await send(edge, "GET", f"/media/videos/2026/01/02/{name}")
    told = await send(edge, "HEAD", f"/media/videos/2026/01/02/{name}")

    assert_refused(answer, 404, "There is no such file.", code="not_found")
    assert (told.status, told.body) == (404, b"")
    assert_clean(told)
    assert "cache-control" not in {*answer.headers, *told.headers}


async def test_a_file_is_the_same_for_all_who_ask(edge: RunningEdge, day: Path) -> None:
    (day / "vid_1.mp4.gz").write_bytes(b"packed")
    headers = ["authorization: Bearer x", "cookie: a=b", "accept-encoding: gzip, br"]

    answer = await send(edge, "GET", "/media/videos/2026/01/02/vid_1.mp4?download=1", headers=headers)

    assert (answer.status, answer.body) == (200, FILM)
    assert not {"content-encoding", "vary", "set-cookie"} & set(answer.headers)


@pytest.mark.parametrize(
    "path",
    [
        "/media",
        "/media/",
        "/media/videos/2026/01/02",
        "/media/videos/2026/01/02/",
        "/media/videos/2026/01/02/.hidden.mp4",
        "/media/videos/2026/01/02/vid_2.mp4.tmp",
        "/media/videos/2026/01/02/vid_2.mp4%231",
        "/media/../outside.mp4",
        "/media/..%2foutside.mp4",
        "/media/%2e%2e/outside.mp4",
        "/media/videos/../../outside.mp4",
        "/media//videos/2026/01/02/vid_1.mp4",
        "/mediavideos/2026/01/02/vid_1.mp4",
    ],
)
async def test_nothing_else_can_be_read(edge: RunningEdge, day: Path, path: str) -> None:
    assert_not_found(await send(edge, "GET", path))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_media_can_only_be_read(edge: RunningEdge, day: Path, method: str) -> None:
    assert_not_found(await send(edge, method, "/media/videos/2026/01/02/vid_1.mp4"))


async def test_a_large_file_is_streamed(edge: RunningEdge, day: Path) -> None:
    with (day / "large.mp4").open("wb") as file:
        file.truncate(LARGE_BYTES)
    process = psutil.Process(edge.process.pid)
    before = process.memory_info().rss

    answer = await send(edge, "GET", "/media/videos/2026/01/02/large.mp4")

    assert len(answer.body) == LARGE_BYTES
    assert process.memory_info().rss - before < GROWTH_BYTES_MAX


async def test_without_a_host_there_is_no_media(upstream: Upstream, day: Path) -> None:
    async with running_edge(jobs_targets=upstream.target, billing_targets=upstream.target) as edge:
        assert_not_found(await send(edge, "GET", "/media/videos/2026/01/02/vid_1.mp4"))
