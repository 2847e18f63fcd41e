"""Customers of both contracts that go on creating and polling, and note every request that fails."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL  # noqa: TID251  a customer makes addresses of its own

from tests.e2e.receiver import Receiver

POLL_SECONDS = 0.25
REQUEST_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class Contract:
    """How a contract is spoken."""

    path: str
    body: Mapping[str, Any]
    hook: str
    """Name of the field with the callback address."""
    enveloped: bool
    ended: frozenset[str]


CONTRACTS = {
    "seedancee2": Contract(
        "/v1/videos/generations",
        {"model": "mini", "input": {"prompt": "A lighthouse", "duration": 4, "resolution": "480p"}},
        "callback_url",
        enveloped=True,
        ended=frozenset({"completed", "failed"}),
    ),
    "nextapi": Contract(
        "/v1/video/generations",
        {"model": "seedance-2.0-mini", "prompt": "A lighthouse", "duration_seconds": 4, "resolution": "480p"},
        "webhook_url",
        enveloped=False,
        ended=frozenset({"succeeded", "failed"}),
    ),
}


@dataclass
class Record:
    """What customers saw."""

    requests: Counter[str] = field(default_factory=Counter)
    """By phase."""
    failures: list[str] = field(default_factory=list)
    ended: dict[str, str] = field(default_factory=dict)
    """The last status of each job by its id."""
    hooks: dict[str, str] = field(default_factory=dict)
    """The name of each job's callback address."""
    phase: str = ""


class Customers:
    """Several customers of each contract, each with one job at a time."""

    def __init__(self, edge: str, keys: Mapping[str, str], receiver: Receiver, record: Record) -> None:
        self._edge = edge
        self._keys = keys
        self._receiver = receiver
        self._record = record
        self._numbers = itertools.count(1)
        self._leaving = asyncio.Event()

    @asynccontextmanager
    async def busy(self, *, customers_each: int) -> AsyncIterator[None]:
        """Keeps them busy until the block ends; then each sees its job end."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for name, contract in CONTRACTS.items():
                for _ in range(customers_each):
                    group.create_task(self._live(session, contract, self._keys[name]))
            try:
                yield
            finally:
                self._leaving.set()

    async def _live(self, session: aiohttp.ClientSession, contract: Contract, key: str) -> None:
        while not self._leaving.is_set():
            hook = f"job-{next(self._numbers)}"
            body = {**contract.body, contract.hook: self._receiver.hook(hook)}
            created = await self._send(session, "POST", contract.path, key, body)
            if created is None:
                await asyncio.sleep(POLL_SECONDS)
                continue
            job = created["data"] if contract.enveloped else created
            self._record.hooks[job["id"]] = hook
            await self._follow(session, contract, key, job["id"])

    async def _follow(
        self, session: aiohttp.ClientSession, contract: Contract, key: str, job_id: str
    ) -> None:
        while self._record.ended.get(job_id) not in contract.ended:
            await asyncio.sleep(POLL_SECONDS)
            polled = await self._send(session, "GET", f"{contract.path}/{job_id}", key)
            if polled is not None:
                job = polled["data"] if contract.enveloped else polled
                self._record.ended[job_id] = job["status"]

    async def _send(
        self, session: aiohttp.ClientSession, method: str, path: str, key: str, body: Any = None
    ) -> Any:
        self._record.requests[self._record.phase] += 1
        phase = self._record.phase
        try:
            async with session.request(
                method, URL(self._edge + path), json=body, headers={"Authorization": f"Bearer {key}"}
            ) as response:
                text = await response.text()
                if response.status == 200:
                    return await response.json()
                self._record.failures.append(f"{phase}: {method} {path}: {response.status} {text[:300]}")
        except (aiohttp.ClientError, TimeoutError) as error:
            self._record.failures.append(f"{phase}: {method} {path}: {error!r}")
        return None
