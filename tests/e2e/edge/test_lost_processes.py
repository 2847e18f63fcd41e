"""One of two processes is gone: what no process has seen goes to the other, and a poll goes there in any case."""

import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.edge.extension import Config
from tests.e2e.edge.client import send
from tests.e2e.edge.test_answers import CREATION, VIDEOS
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

REQUESTS = 200
"""Enough that a retry that seldom chooses the lost process again is seen."""


def _unwatched(config: Config) -> None:
    """Takes away what would tell the edge of the loss soon, so that each request finds it out anew."""
    for cluster in config["static_resources"]["clusters"]:
        del cluster["health_checks"]
        del cluster["outlier_detection"]


@pytest_asyncio.fixture(loop_scope="session")
async def halved(services: Upstream) -> AsyncIterator[RunningEdge]:
    # Held, so that nobody else on this machine listens there; who connects is refused.
    with socket.socket() as lost:
        lost.bind(("127.0.0.1", 0))
        targets = f"{services.target},127.0.0.1:{lost.getsockname()[1]}"
        async with running_edge(
            change=_unwatched, jobs_targets=targets, billing_targets=services.target
        ) as edge:
            yield edge


async def test_a_creation_that_no_process_has_seen_goes_to_another_one(halved: RunningEdge) -> None:
    answers = [await send(halved, "POST", VIDEOS, CREATION) for _ in range(REQUESTS)]

    assert [answer for answer in answers if answer.status != 200] == []


async def test_a_poll_goes_to_another_process(halved: RunningEdge) -> None:
    statuses = [(await send(halved, "GET", f"{VIDEOS}/vid_1")).status for _ in range(REQUESTS)]

    assert statuses == [200] * REQUESTS
