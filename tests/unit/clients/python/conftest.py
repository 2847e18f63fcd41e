"""Every test of the client runs twice: with the client that blocks, and with the one for asyncio."""

import asyncio
import inspect
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import httpx2
import pytest
from reelgate_client import AsyncNextAPI, AsyncSeedancee2, NextAPI, Seedancee2

from tests.unit.clients.python.service import Service, running_service

KEYS = {
    "seedancee2": "sk_seedancee2_test_0123456789abcdefghijklmn",
    "nextapi": "nxa_test_sk_0123456789abcdefghijklmn",
}
CLASSES: dict[tuple[str, str], Any] = {
    ("seedancee2", "sync"): Seedancee2,
    ("seedancee2", "async"): AsyncSeedancee2,
    ("nextapi", "sync"): NextAPI,
    ("nextapi", "async"): AsyncNextAPI,
}


class Bench:
    """A service and clients of it, whose time passes only when they sleep."""

    def __init__(self, service: Service, mode: str, runner: asyncio.Runner, http: Any) -> None:
        self.service = service
        self.mode = mode
        self._runner = runner
        self._http = http
        self.now = 1000.0
        self.slept: list[float] = []

    def client(self, contract: str = "seedancee2", **settings: Any) -> Any:
        made = CLASSES[contract, self.mode](
            **{
                "api_key": KEYS[contract],
                "base_url": self.service.url,
                "http_client": self._http,
                **settings,
            }
        )
        made.core.clock = lambda: self.now
        made.core.jitter = lambda: 0.0
        made.core.driver.sleep = self._sleep
        return made

    def do(self, work: Any) -> Any:
        """Returns what a method returns, or a list of what it iterates over."""
        if inspect.isawaitable(work):
            return self._runner.run(_awaited(work), context=copy_context())
        if inspect.isasyncgen(work):
            return self._runner.run(_collected(work), context=copy_context())
        return list(work) if inspect.isgenerator(work) else work

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


async def _awaited(work: Any) -> Any:
    return await work


async def _collected(work: Any) -> list[Any]:
    return [each async for each in work]


@pytest.fixture(scope="package")
def shared_service() -> Iterator[Service]:
    with running_service() as service:
        yield service


@pytest.fixture(scope="package")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="package")
def connections(runner: asyncio.Runner) -> Iterator[dict[str, Any]]:
    """Those of both kinds of client, which take a while to make."""
    asynchronous = httpx2.AsyncClient()
    with httpx2.Client() as blocking:
        yield {"sync": blocking, "async": asynchronous}
    runner.run(asynchronous.aclose())


@pytest.fixture(params=["sync", "async"])
def bench(
    request: pytest.FixtureRequest,
    shared_service: Service,
    runner: asyncio.Runner,
    connections: dict[str, Any],
) -> Bench:
    shared_service.replies, shared_service.received = [], []
    return Bench(shared_service, request.param, runner, connections[request.param])
