"""Every form of Range is answered as RFC 9110, section 14, has it, and conditions as section 13 does."""

import asyncio
import hashlib
import os
import random  # noqa: TID251 - seeded: every run sends the same
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import free_port
from tests.e2e.edge.client import Answer, assert_clean, assert_refused, exchange, send
from tests.e2e.edge.media import serving_media
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILM = random.Random(9110).randbytes(50_021)
SIZE = len(FILM)
PATH = "/media/ranges/film.mp4"
MODIFIED_AT = 1_700_000_000
MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"
"""The same moment; in the two older forms below as well."""
SAME_MOMENT = [MODIFIED, "Tuesday, 14-Nov-23 22:13:20 GMT", "Tue Nov 14 22:13:20 2023"]
EARLIER, LATER = "Tue, 14 Nov 2023 22:13:19 GMT", "Tue, 14 Nov 2023 22:13:21 GMT"
NO_DATES = ["yesterday", "2023-11-14T22:13:20Z", "Tue, 14 Nov 2023 22:13:20 +0000", "0"]
EDGES = (0, 1, 2, 499, SIZE // 2, SIZE - 2, SIZE - 1, SIZE, SIZE + 1, SIZE * 2, 2**31, 2**63, 2**64, 10**30)
LARGE_BYTES = 100_000_000
GROWTH_BYTES_MAX = 32 * 1024 * 1024


@pytest.fixture(scope="session")
def film(media_folder: Path) -> Path:
    file = media_folder / PATH.removeprefix("/media/")
    file.parent.mkdir()
    file.write_bytes(FILM)
    os.utime(file, (MODIFIED_AT, MODIFIED_AT))
    return file


async def get(edge: RunningEdge, *headers: str, method: str = "GET", path: str = PATH) -> Answer:
    return await send(edge, method, path, headers=headers)


async def tag_of(edge: RunningEdge, path: str = PATH) -> str:
    return (await get(edge, method="HEAD", path=path)).headers["etag"]


def bytes_meant(spec: str) -> range | None:
    """The oracle: which bytes one range of section 14.1.2 means, none of them perhaps. None: it is invalid."""
    first, dash, last = spec.partition("-")
    if not dash or not all(part == "" or set(part) <= set("0123456789") for part in (first, last)):
        return None
    if first == "":
        return range(max(SIZE - int(last), 0), SIZE) if last else None
    if last != "" and int(last) < int(first):
        return None
    stop = SIZE if last == "" else int(last) + 1
    return range(int(first), min(stop, SIZE)) if int(first) < SIZE else range(0)


def meant(value: str) -> list[range] | None:
    """The oracle: which ranges with bytes in them a header means. None: it is as if it were absent."""
    unit, equals, listed = value.partition("=")
    if not equals or unit.lower() != "bytes":
        return None
    found = [bytes_meant(spec.strip(" \t")) for spec in listed.split(",") if spec.strip(" \t")]
    return [each for each in found if each] if found and None not in found else None


def generated() -> list[str]:
    draw = random.Random(14)
    one = [f"{a}-{b}" for a in EDGES for b in EDGES] + [f"{a}-" for a in EDGES] + [f"-{a}" for a in EDGES]
    broken = [
        "",
        "-",
        "--1",
        "1--2",
        "a-b",
        "0x1-2",
        "1-2-3",
        "1 - 2",
        "+1-2",
        "-+1",
        "1.0-2",
        "*",
        "0-1;q=1",
        "²-5",
    ]
    several = [
        draw.choice((",", ", ", " ,\t", ",,")).join(draw.sample(one, draw.randint(2, 5))) for _ in range(60)
    ]
    mixed = [", ".join(draw.sample(one, 2) + draw.sample(broken[1:], 1)) for _ in range(15)]
    specs = [
        *draw.sample(one, 90),
        "0-0",
        "-1",
        "-0",
        f"{SIZE - 1}-",
        f"{SIZE}-",
        f"0-{SIZE}",
        "00-007",
        *broken,
        *several,
        *mixed,
    ]
    units = [
        "Bytes=0-5",
        "BYTES=-5",
        "items=0-5",
        "byte=0-5",
        "bytes 0-5",
        "bytes:0-5",
        "=0-5",
        "seconds=1-2",
        "none",
    ]
    many = "bytes=" + ",".join("0-0" for _ in range(900))
    return [*(f"bytes={spec}" for spec in specs), *units, many, "bytes=" + "9" * 4_500 + "-"]


async def test_every_form_of_range_is_answered_as_the_rfc_has_it(edge: RunningEdge, film: Path) -> None:
    seen = set()
    for value in generated():
        answer = await get(edge, f"range: {value}")
        # Longer numbers than these are no ranges to us: a server may ignore any.
        wanted = meant(value) if len(value) < 4_500 or "," in value else None
        if wanted is None or len(wanted) > 1:
            assert (answer.status, answer.body) == (200, FILM), value
            assert "content-range" not in answer.headers, value
        elif not wanted:
            assert_refused(answer, 416, "The range is not within the file.")
            assert answer.headers["content-range"] == f"bytes */{SIZE}", value
            assert "cache-control" not in answer.headers, value
        else:
            (part,) = wanted
            assert (answer.status, answer.body) == (206, FILM[part.start : part.stop]), value
            assert answer.headers["content-range"] == f"bytes {part.start}-{part.stop - 1}/{SIZE}", value
        seen.add(answer.status)
        assert_clean(answer)
    assert seen == {200, 206, 416}


async def test_a_part_has_the_headers_of_the_whole(edge: RunningEdge, film: Path) -> None:
    whole, part = await get(edge), await get(edge, "range: bytes=7-")

    for name in (
        "content-type",
        "cache-control",
        "x-content-type-options",
        "accept-ranges",
        "etag",
        "last-modified",
    ):
        assert part.headers[name] == whole.headers[name]
    assert whole.headers["last-modified"] == MODIFIED
    assert whole.headers["etag"].startswith('"')


@pytest.mark.parametrize("value", ["bytes=0-4", f"bytes={SIZE}-", "bytes=-0", "items=1-2"])
async def test_a_head_knows_no_ranges(edge: RunningEdge, film: Path, value: str) -> None:
    answer = await get(edge, f"range: {value}", method="HEAD")

    assert (answer.status, answer.headers["content-length"], answer.body) == (200, str(SIZE), b"")
    assert "content-range" not in answer.headers


async def test_two_range_headers_are_none(edge: RunningEdge, film: Path) -> None:
    answer = await get(edge, "range: bytes=0-4", "range: bytes=7-8")

    assert (answer.status, answer.body) == (200, FILM)


async def test_a_part_is_sent_only_of_the_file_that_was_meant(edge: RunningEdge, film: Path) -> None:
    tag = await tag_of(edge)
    for validator in (tag, *SAME_MOMENT):
        answer = await get(edge, "range: bytes=5-9", f"if-range: {validator}")
        assert (answer.status, answer.body) == (206, FILM[5:10]), validator
    for validator in (f"W/{tag}", '"other"', tag.strip('"'), "*", EARLIER, LATER, *NO_DATES):
        answer = await get(edge, "range: bytes=5-9", f"if-range: {validator}")
        assert (answer.status, answer.body) == (200, FILM), validator
    outside = await get(edge, f"range: bytes={SIZE}-", 'if-range: "other"')
    assert outside.status == 200
    assert (await get(edge, f"if-range: {tag}")).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_a_client_has_is_not_sent_again(edge: RunningEdge, film: Path, method: str) -> None:
    tag = await tag_of(edge)
    for line in (
        *(f"if-none-match: {tags}" for tags in (tag, f"W/{tag}", "*", f'"a, b", {tag}')),
        *(f"if-modified-since: {date}" for date in (*SAME_MOMENT, LATER)),
    ):
        answer = await get(edge, line, "range: bytes=0-4", method=method)
        assert (answer.status, answer.headers["etag"], answer.body) == (304, tag, b""), line
        assert answer.headers["last-modified"] == MODIFIED
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert_clean(answer)


async def test_what_a_client_lacks_is_sent(edge: RunningEdge, film: Path) -> None:
    lines = [f"if-none-match: {tags}" for tags in ('"a"', '""', "a", "")]
    for line in [*lines, *(f"if-modified-since: {date}" for date in (EARLIER, *NO_DATES))]:
        assert (await get(edge, line)).body == FILM, line
    # A tag decides alone: RFC 9110, section 13.1.3.
    assert (await get(edge, 'if-none-match: "a"', f"if-modified-since: {LATER}")).status == 200


async def test_a_condition_that_fails_is_said(edge: RunningEdge, film: Path) -> None:
    tag = await tag_of(edge)
    for line in ('if-match: "a"', f"if-match: W/{tag}", f"if-unmodified-since: {EARLIER}"):
        assert_refused(
            await get(edge, line), 412, "The file is not the one that the request's conditions name."
        )
    for line in (
        f'if-match: "a", {tag}',
        "if-match: *",
        f"if-unmodified-since: {MODIFIED}",
        "if-unmodified-since: x",
    ):
        assert (await get(edge, line)).status == 200, line


async def test_a_file_that_was_replaced_has_another_tag(edge: RunningEdge, film: Path) -> None:
    file = film.with_name("replaced.mp4")
    path = "/media/ranges/replaced.mp4"
    file.write_bytes(b"a" * 100)
    tag = await tag_of(edge, path)
    draft = file.with_name("draft")
    draft.write_bytes(b"b" * 100)
    os.utime(draft, ns=(1, file.stat().st_mtime_ns + 1))
    draft.replace(file)

    assert (await get(edge, f"if-none-match: {tag}", path=path)).status == 200
    resumed = await get(edge, "range: bytes=50-", f"if-range: {tag}", path=path)
    assert (resumed.status, resumed.body) == (200, b"b" * 100)


@pytest.mark.parametrize("piece", [1_000, 4_096, 50_020, 50_021, 70_000])
async def test_a_download_in_fixed_pieces_is_the_file(edge: RunningEdge, film: Path, piece: int) -> None:
    found, tag = b"", await tag_of(edge)
    while True:
        line = f"range: bytes={len(found)}-{len(found) + piece - 1}"
        answer = await get(edge, line, f"if-range: {tag}")
        if answer.status == 416:
            break
        assert answer.status == 206
        found += answer.body

    assert hashlib.sha256(found).digest() == hashlib.sha256(FILM).digest()
    assert answer.headers["content-range"] == f"bytes */{len(found)}"


async def test_an_empty_file_is_sent_whole(edge: RunningEdge, film: Path) -> None:
    film.with_name("empty.mp4").write_bytes(b"")

    for value in ("bytes=0-", "bytes=-5", "bytes=0-0", "bytes=-0"):
        answer = await get(edge, f"range: {value}", path="/media/ranges/empty.mp4")
        assert (answer.status, answer.body) == (200, b""), value


async def test_requests_follow_each_other_on_one_connection(edge: RunningEdge, film: Path) -> None:
    host, _, port = edge.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    wanted = [
        ("bytes=0-4", 206),
        (f"bytes={SIZE}-", 416),
        ("bytes=-3", 206),
        ("items=1", 200),
        ("bytes=0-0", 206),
    ]
    writer.writelines(
        f"GET {PATH} HTTP/1.1\r\nhost: edge\r\nrange: {value}\r\n\r\n".encode() for value, _ in wanted
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        for _, status in wanted:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert int(head.split()[1]) == status
            await reader.readexactly(int(head.split("content-length: ")[1].split()[0]))
    writer.close()


@asynccontextmanager
async def cut_off(edge: RunningEdge, path: str, *, after: int) -> AsyncIterator[bytes]:
    """Reads a few bytes of a body, and no more until the block ends."""
    host, _, port = edge.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: edge\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await reader.readuntil(b"\r\n\r\n")
            yield await reader.readexactly(after)
    finally:
        writer.transport.abort()


async def test_slow_readers_hold_no_files_in_memory_and_keep_nobody_waiting(
    edge: RunningEdge, film: Path
) -> None:
    with film.with_name("large.mp4").open("wb") as file:
        file.truncate(LARGE_BYTES)
    envoy, host = psutil.Process(edge.process.pid), psutil.Process()
    before = envoy.memory_info().rss, host.memory_info().rss
    readers = [cut_off(edge, "/media/ranges/large.mp4", after=10) for _ in range(20)]
    try:
        for reader in readers:
            await reader.__aenter__()
        assert (await get(edge, "range: bytes=5-9")).body == FILM[5:10]
        after = envoy.memory_info().rss, host.memory_info().rss
    finally:
        for reader in readers:
            await reader.__aexit__(None, None, None)
    assert max(now - then for now, then in zip(after, before, strict=True)) < GROWTH_BYTES_MAX


async def test_a_download_goes_on_where_a_host_that_died_left_it(
    upstream: Upstream, film: Path, media_folder: Path
) -> None:
    content = random.Random(1).randbytes(30_000_000)
    film.with_name("long.mp4").write_bytes(content)
    path, port = "/media/ranges/long.mp4", free_port()
    target = f"127.0.0.1:{port}"
    async with running_edge(
        jobs_targets=upstream.target, billing_targets=upstream.target, media_targets=target
    ) as edge:
        async with serving_media(media_folder, port=port):
            tag = await tag_of(edge, path)
            async with cut_off(edge, path, after=100_000) as begun:
                pass
        away = await get(edge, path=path)
        assert (away.status, away.json["error"]["code"]) == (503, "internal_error")
        async with serving_media(media_folder, port=port):
            rest = await get(edge, f"range: bytes={len(begun)}-", f"if-range: {tag}", path=path)

    assert rest.status == 206
    assert hashlib.sha256(begun + rest.body).digest() == hashlib.sha256(content).digest()


async def test_a_body_in_a_read_is_no_second_request(edge: RunningEdge, film: Path) -> None:
    inner = "GET /media/ranges/other.mp4 HTTP/1.1\r\nhost: edge\r\n\r\n"
    request = f"GET {PATH} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\ncontent-length: {len(inner)}\r\n\r\n{inner}"

    assert (await exchange(edge, request.encode())).body == FILM
