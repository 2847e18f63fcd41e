from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from services.simulator.server import serve_simulator
from tests.integration.simulator.wire import Caller, Receiver, settings


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as opened:
        yield opened


@pytest.fixture(scope="session")
def ready_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ready")


@pytest.fixture
def folder(tmp_path: Path, ready_clips: Path) -> Path:
    """A simulator's folder without tasks, in which the ready clips of other tests already lie."""
    (tmp_path / "ready").symlink_to(ready_clips)
    return tmp_path


@pytest.fixture
async def caller(session: ClientSession, folder: Path) -> AsyncIterator[Caller]:
    async with serve_simulator(settings(folder=folder)) as running:
        yield Caller(session, running.url)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    taker = Receiver()
    app = web.Application()
    app.router.add_post("/callback", taker.take)
    async with TestServer(app) as server:
        taker.url = str(server.make_url("/callback"))
        yield taker
