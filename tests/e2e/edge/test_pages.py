"""Pages are answers of the edge itself: whole, once, packed where that is understood, and only at their own paths."""

import asyncio
import gzip
import os
import re
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path

import pytest
import pytest_asyncio

from docs.site.files import Site
from services.edge.extension import Config
from services.edge.pages import PAGES
from tests.e2e.edge.client import assert_clean, assert_not_found, logged, send
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "<p>a page</p>" * 1_000
LARGE = b"0123456789abcdef" * 64 * 1024
HUGE_BYTES = 16 * 1024 * 1024
"""More than a connection holds by itself."""
FEW = 3
HTML = "text/html; charset=utf-8"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("site"))
    made.add("/", '{"name": "Reelgate"}', "application/json", file="index.json", accept="application/json")
    made.add("/", "<p>home</p>", HTML, file="index.html")
    made.add("/docs", LONG, HTML, file="docs/index.html", policy="reference")
    made.add("/openapi/seedancee2.json", "{}", "application/openapi+json")
    made.add_asset("large.js", LARGE, "text/javascript; charset=utf-8")
    made.finish()
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def edge(services: Upstream, site: Site) -> AsyncIterator[RunningEdge]:
    async with running_edge(
        jobs_targets=services.target, billing_targets=services.target, site_dir=site.folder
    ) as running:
        yield running


async def test_a_page_comes_whole_with_what_keeps_browsers_safe(edge: RunningEdge) -> None:
    answer = await send(edge, "GET", "/docs?from=elsewhere")

    assert (answer.status, answer.body.decode()) == (200, LONG)
    assert_clean(answer)
    headers = answer.headers
    assert headers["content-type"] == HTML
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'"
    )
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe-inline" not in (await send(edge, "GET", "/")).headers["content-security-policy"]


async def test_a_page_is_packed_for_who_can_unpack_it(edge: RunningEdge) -> None:
    for accepted in ("gzip", "gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.8, *;q=0.1"):
        packed = await send(edge, "GET", "/docs", headers=[f"accept-encoding: {accepted}"])
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body).decode() == LONG
    for accepted in ("br", "gzip;q=0", "identity", "xgzip"):
        plain = await send(edge, "GET", "/docs", headers=[f"accept-encoding: {accepted}"])
        assert "content-encoding" not in plain.headers
        assert plain.body.decode() == LONG
    assert "accept-encoding" in plain.headers["vary"]


async def test_a_large_file_is_always_packed_and_kept_by_browsers_for_good(
    edge: RunningEdge, site: Site
) -> None:
    [path] = [each.path for each in site.served if each.path.endswith(".js")]

    answer = await send(edge, "GET", path)

    assert gzip.decompress(answer.body) == LARGE
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]


async def test_what_a_browser_has_is_not_sent_again(edge: RunningEdge) -> None:
    tag = (await send(edge, "GET", "/docs")).headers["etag"]

    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}'):
        answer = await send(edge, "GET", "/docs", headers=[f"if-none-match: {known}"])
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == tag
        assert "location" not in answer.headers
    assert (await send(edge, "GET", "/docs", headers=['if-none-match: W/"other"'])).status == 200


async def test_head_tells_what_get_would(edge: RunningEdge) -> None:
    got, head = await send(edge, "GET", "/docs"), await send(edge, "HEAD", "/docs")

    changing = {"date", "x-request-id"}
    assert head.body == b""
    assert {(k, v) for k, v in head.headers.items() if k not in changing} == {
        (k, v) for k, v in got.headers.items() if k not in changing
    }


async def test_the_first_page_is_json_for_programs(edge: RunningEdge) -> None:
    assert (await send(edge, "GET", "/", headers=["accept: application/json"])).json == {"name": "Reelgate"}
    for accepted in ("text/html,application/xhtml+xml,*/*;q=0.8", "*/*"):
        assert (await send(edge, "GET", "/", headers=[f"accept: {accepted}"])).body == b"<p>home</p>"


@pytest.mark.parametrize(
    "path", ["/docs/nothing", "/docs.html", "/site.json", "/docs/../site.json", "/openapi", "/DOCS", "//docs"]
)
async def test_other_paths_are_not_found_in_the_words_of_the_contract(edge: RunningEdge, path: str) -> None:
    assert_not_found(await send(edge, "GET", path))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_pages_are_only_read(edge: RunningEdge, method: str) -> None:
    assert_not_found(await send(edge, method, "/docs"))


async def test_a_page_stands_in_the_log_by_its_path_alone(edge: RunningEdge) -> None:
    answer = await send(edge, "GET", "/docs/?token=secret")

    line = await logged(edge, answer.headers["x-request-id"])
    assert (line["route"], line["status"]) == ("GET /docs", 200)
    assert not re.search("secret", str(line))


async def test_who_reads_slowly_holds_a_bounded_number_of_copies(services: Upstream, tmp_path: Path) -> None:
    site = Site(tmp_path)
    path = site.add_asset("huge.js", os.urandom(HUGE_BYTES), "text/javascript; charset=utf-8")
    site.finish()

    async with running_edge(
        change=few_pages_at_once,
        jobs_targets=services.target,
        billing_targets=services.target,
        site_dir=tmp_path,
    ) as edge:
        slow = [await reading_slowly(edge, path) for _ in range(FEW)]
        # As many wait as are answered, and more are refused.
        more = [asyncio.create_task(send(edge, "GET", path)) for _ in range(3 * FEW)]
        first = islice(asyncio.as_completed(more, timeout=PATIENCE_SECONDS), 2 * FEW)
        refused = [await each for each in first]
        assert [(each.status, each.headers["retry-after"]) for each in refused] == [(503, "1")] * 2 * FEW
        assert (await send(edge, "GET", "/healthz")).status == 200

        for reader in slow:
            reader.transport.abort()
        assert sorted([(await task).status for task in more]) == [200] * FEW + [503] * 2 * FEW


def few_pages_at_once(config: Config) -> None:
    [cluster] = [each for each in config["static_resources"]["clusters"] if each["name"] == PAGES]
    [limits] = cluster["circuit_breakers"]["thresholds"]
    assert set(limits.values()) == {64}
    limits.update(dict.fromkeys(limits, FEW))


async def reading_slowly(edge: RunningEdge, path: str) -> asyncio.StreamWriter:
    """Reads the status of an answer, which must be 200, and leaves the rest where it is until the connection ends."""
    host, _, port = edge.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: edge\r\n\r\n".encode())
    assert (await reader.readline()).split()[1] == b"200"
    return writer


async def test_a_folder_without_pages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="make site"):
        async with running_edge(site_dir=tmp_path):
            pass
