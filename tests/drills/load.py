"""A customer that creates videos and repeats what was not answered, as long as a drill lasts."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.e2e.customer import VIDEOS, Customer
from tests.e2e.receiver import Receiver
from tests.faults.evidence import order
from tests.patience import PATIENCE_SECONDS

SIDE_BY_SIDE = 4
AHEAD_MAX = 8
PROMPTS = ("A paper boat", "[simulate: slow 3]", "[simulate: lost response]", "[simulate: slow 6]")
REPEAT_SECONDS = 0.2
RETRIED = {409, 500, 503, 504}
"""Beside no answer at all: what a customer repeats with the same key."""


@dataclass
class Load:
    """A customer that creates, and repeats what was not answered until it is."""

    customer: Customer
    receiver: Receiver
    accepted: dict[str, str] = field(default_factory=dict)
    """The job of each key that was answered with success."""
    refused: list[int] = field(default_factory=list)
    _is_over: bool = False
    _wanted: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Creates until the block ends, and then repeats what was not answered yet."""
        async with asyncio.TaskGroup() as group:
            for _ in range(SIDE_BY_SIDE):
                group.create_task(self._create())
            yield
            self._is_over = True

    async def until(self, count: int) -> None:
        """Waits until so many creations are accepted. More follow, AHEAD_MAX at the most."""
        self._wanted = count
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.accepted) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def _create(self) -> None:
        while not self._is_over:
            if len(self.accepted) >= self._wanted + AHEAD_MAX:
                await asyncio.sleep(REPEAT_SECONDS)
                continue
            number = next(self._numbers)
            key = f"key-{number}"
            body = order(PROMPTS[number % len(PROMPTS)], hook=self.receiver.hook(key))
            while (status := await self._send(key, body)) != 200:
                assert status in {0, *RETRIED}, status
                self.refused.append(status)
                await asyncio.sleep(REPEAT_SECONDS)

    async def _send(self, key: str, body: dict[str, Any]) -> int:
        headers = {**self.customer._headers, "Idempotency-Key": key}
        with suppress(aiohttp.ClientError):
            answer = await self.customer.send("POST", VIDEOS, body, headers=headers)
            if answer.status == 200:
                self.accepted[key] = answer.json["data"]["id"]
            return answer.status
        return 0
