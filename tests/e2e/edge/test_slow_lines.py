"""A file may take as long as a slow line needs; nothing else may, and nobody else gets more time because of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.edge.client import assert_refused, exchange
from tests.e2e.edge.test_uploads import large_picture, put_path
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import running_edge
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIDEOS = "/v1/videos/generations"
BEGUN = f"POST {VIDEOS} HTTP/1.1\r\nhost: edge\r\ncontent-length: 9\r\n\r\n{{".encode()
LATE = "The request did not arrive in time."


def in_a_hurry(config: dict[str, Any]) -> None:
    """Leaves everything but uploads a third of a second to arrive and be answered."""
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][-1]["typed_config"]
    for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
        limit = route.get("route", {}).get("max_stream_duration")
        if limit is not None and not route["name"].startswith("PUT "):
            limit["max_stream_duration"] = "0.3s"


async def test_a_file_may_arrive_slowly_while_another_body_that_does_is_refused(
    upstream: Upstream, media_target: str, media_folder: Path
) -> None:
    content = large_picture()
    half = len(content) // 2
    async with running_edge(
        jobs_targets=upstream.target,
        billing_targets=upstream.target,
        media_targets=(media_target,),
        change=in_a_hurry,
    ) as edge:
        reader, writer = await asyncio.open_connection(*edge.address.split(":"))
        head = f"PUT {put_path('s')} HTTP/1.1\r\nhost: edge\r\ncontent-length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content[:half])
        late = [await exchange(edge, BEGUN) for _ in range(2)]
        writer.write(content[half:])
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await reader.readline()
        writer.close()

    for refused in late:
        assert_refused(refused, 408, LATE)
    assert answer == b"HTTP/1.1 201 Created\r\n"
    [kept] = (media_folder / ".uploads").glob("upl_s*")
    assert kept.stat().st_size == len(content)
