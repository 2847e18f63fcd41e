from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.edge.media import serving_media
from tests.e2e.edge.upstream import Upstream, serving_upstream
from tests.e2e.edge_process import RunningEdge, running_edge

MUCH = 1_000_000


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def services() -> AsyncIterator[Upstream]:
    async with serving_upstream() as served:
        yield served


@pytest.fixture
def upstream(services: Upstream) -> Upstream:
    """The services behind `edge`, as if nothing had reached them yet."""
    services.forget()
    return services


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def media_target(media_folder: Path) -> AsyncIterator[str]:
    """Where the files of `media_folder` are served, as a local stack does it."""
    async with serving_media(media_folder) as target:
        yield target


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def edge(services: Upstream, media_target: str) -> AsyncIterator[RunningEdge]:
    """One edge for all tests that can share it, whatever they send together."""
    async with running_edge(
        jobs_targets=services.target,
        billing_targets=services.target,
        media_targets=(media_target,),
        body_kib_per_second_per_address=MUCH,
        large_body_kib_per_second=MUCH,
    ) as running:
        yield running
