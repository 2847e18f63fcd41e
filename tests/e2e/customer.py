"""A customer of a running stack: what is sent over REST with one key, and what comes back."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL  # noqa: TID251  a customer makes addresses of its own

from tests.conformance import check_answer
from tests.e2e.edge.client import Answer, assert_clean
from tests.patience import PATIENCE_SECONDS

VIDEOS = "/v1/videos/generations"
POLL_SECONDS = 0.1
ENDED = ("completed", "failed")
SMALL = {"duration": 4, "resolution": "480p"}
"""The cheapest clip there is: 20 credits with the model mini."""


class Customer:
    """Calls a stack with one key. Whatever it asks for, every answer must be as its OpenAPI document shows it, without
    a key more, and may show nothing of what is behind the edge.
    """

    def __init__(self, session: aiohttp.ClientSession, *, edge: str, key: str) -> None:
        self._session = session
        self._edge = edge
        self._key = key
        self._headers = {"Authorization": f"Bearer {key}"}

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends `body` as JSON, or `raw` as it is; `headers` stand in place of the one with the key."""
        async with self._session.request(
            method,
            URL(self._edge + path, encoded=True),
            json=body,
            data=raw,
            headers=self._headers if headers is None else headers,
        ) as response:
            shown = {name.lower(): value for name, value in response.headers.items()}
            answer = Answer(response.status, shown, await response.read())
        assert_clean(answer)
        check_answer(method, path, answer.status, answer.headers, answer.body, key=self._key)
        return answer

    async def get(self, path: str) -> Any:
        """Returns the `data` of an answer that must be a success."""
        return data_of(await self.send("GET", path))

    async def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the `data` of a creation that must be accepted."""
        created: dict[str, Any] = data_of(await self.send("POST", VIDEOS, body))
        return created

    async def until(self, video_id: str, statuses: Collection[str], *, seconds: float) -> Answer:
        """Polls until a video is in one of the statuses, for `seconds` at the most. Returns the poll's answer."""
        deadline = time.monotonic() + seconds
        while True:
            answer = await self.send("GET", f"{VIDEOS}/{video_id}")
            if data_of(answer)["status"] in statuses:
                return answer
            assert time.monotonic() < deadline, f"not {statuses} within {seconds} s: {answer.body!r}"
            await asyncio.sleep(POLL_SECONDS)


def data_of(answer: Answer) -> Any:
    """Returns the `data` of a success; other keys may stand beside it."""
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json"
    return answer.json["data"]


@asynccontextmanager
async def open_customer(edge: str, key: str, *, seconds: float = PATIENCE_SECONDS) -> AsyncIterator[Customer]:
    """Opens a customer whose every call has a deadline."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Customer(session, edge=edge, key=key)
