"""Customers who wait for jobs that do not end soon, in polls with `wait` and in streams of events."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import aiohttp
from yarl import URL  # noqa: TID251  a customer makes addresses of its own

from services.jobs.watch.event_stream import GOOD_BYE
from tests.upgrade.customers import CONTRACTS, Contract

WAIT_SECONDS = 60
SLOW = "[simulate: slow 600] A glacier"


class Edges(Protocol):
    """Says where the edge is now."""

    @property
    def edge(self) -> str:
        """Its address."""
        ...


class Waiters:
    """For each contract one that polls with `wait`, and one that listens. Whatever they are told, they ask again."""

    def __init__(self, edges: Edges, keys: Mapping[str, str]) -> None:
        self.failures: list[str] = []
        self.told_early = 0
        """Polls that were answered before their time, though the job had not ended: their process stopped."""
        self.farewells = 0
        """Streams that ended with the request to connect again."""
        self.open = 0
        """Polls and streams that are waiting now."""
        self._edges = edges
        self._keys = keys

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Waits until the block ends."""
        async with aiohttp.ClientSession() as session:
            tasks = []
            for name, contract in CONTRACTS.items():
                headers = {"Authorization": f"Bearer {self._keys[name]}"}
                body = {**contract.body, **_slow(contract)}
                async with session.post(
                    URL(self._edges.edge + contract.path), json=body, headers=headers
                ) as answer:
                    assert answer.status == 200, await answer.text()
                    created = await answer.json()
                job = created["data"] if contract.enveloped else created
                path = f"{contract.path}/{job['id']}"
                tasks += [
                    asyncio.create_task(each(session, path, headers)) for each in (self._poll, self._listen)
                ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                for ended in await asyncio.gather(*tasks, return_exceptions=True):
                    if not isinstance(ended, asyncio.CancelledError):
                        self.failures.append(repr(ended))

    async def _poll(self, session: aiohttp.ClientSession, path: str, headers: Mapping[str, str]) -> None:
        time = asyncio.get_running_loop().time
        while True:
            started = time()
            url = URL(f"{self._edges.edge}{path}?wait={WAIT_SECONDS}")
            status = await self._ask(session, url, headers)
            if status != 200:
                self.failures.append(f"wait: {status}")
                await asyncio.sleep(0.1)
            elif time() - started < WAIT_SECONDS - 1:
                self.told_early += 1

    async def _ask(self, session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str]) -> int:
        self.open += 1
        try:
            async with session.get(url, headers=headers) as answer:
                await answer.read()
                return answer.status
        finally:
            self.open -= 1

    async def _listen(self, session: aiohttp.ClientSession, path: str, headers: Mapping[str, str]) -> None:
        while True:
            self.open += 1
            try:
                async with session.get(URL(f"{self._edges.edge}{path}/events"), headers=headers) as answer:
                    text = await answer.text()
            finally:
                self.open -= 1
            if answer.status == 200 and text.endswith(GOOD_BYE):
                self.farewells += 1
            else:
                self.failures.append(f"stream: {answer.status} {text[-200:]}")
                await asyncio.sleep(0.1)


def _slow(contract: Contract) -> dict[str, Any]:
    if "input" in contract.body:
        return {"input": {**contract.body["input"], "prompt": SLOW}}
    return {"prompt": SLOW}
