import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, web

from services.simulator.api import TASKS_PATH
from services.simulator.settings import Mode, SimulatorSettings
from tests.patience import PATIENCE_SECONDS

API_KEY = "test-key"
AUTHORIZATION = {"Authorization": f"Bearer {API_KEY}"}
SMALL = {
    "model": "dreamina-seedance-2-0-fast-260128",
    "resolution": "480p",
    "duration": 4,
    "ratio": "16:9",
    "generate_audio": False,
}

Json = dict[str, Any]


def settings(**changes: Any) -> SimulatorSettings:
    defaults = {"api_key": API_KEY, "mode": Mode.INSTANT, "private_targets_allowed": "127.0.0.0/8"}
    return SimulatorSettings(**(defaults | changes))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Json:
        body = json.loads(self.content)
        assert isinstance(body, dict)
        return body

    @property
    def error(self) -> Json:
        error = self.json["error"]
        assert isinstance(error, dict)
        return error


@dataclass(frozen=True)
class Caller:
    """A client of the provider's API that hides nothing."""

    session: ClientSession
    url: str

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        options = {"headers": AUTHORIZATION} | options
        async with self.session.request(method, f"{self.url}{path}", **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def post(self, prompt: str = "A cat", *, media: list[Json] | None = None, **fields: Any) -> Answer:
        content = [{"type": "text", "text": prompt}, *(media or [])]
        return await self.ask("POST", TASKS_PATH, json=SMALL | {"content": content} | fields)

    async def create(self, prompt: str = "A cat", **options: Any) -> str:
        answer = await self.post(prompt, **options)
        assert answer.status == 200, answer.content
        assert set(answer.json) == {"id"}
        return str(answer.json["id"])

    async def get(self, task_id: str) -> Answer:
        return await self.ask("GET", f"{TASKS_PATH}/{task_id}")

    async def list(self, **filters: Any) -> Json:
        answer = await self.ask("GET", TASKS_PATH, params=filters)
        assert answer.status == 200, answer.content
        return answer.json

    async def delete(self, task_id: str) -> Answer:
        return await self.ask("DELETE", f"{TASKS_PATH}/{task_id}")

    async def seen(self, task_id: str, *statuses: str) -> Json:
        """The task as soon as it has one of these statuses."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = await self.get(task_id)
            if answer.status == 200 and answer.json["status"] in statuses:
                return answer.json
            assert time.monotonic() < deadline, answer.content
            await asyncio.sleep(0.02)

    async def succeeded(self, prompt: str = "A cat", **options: Any) -> Json:
        return await self.seen(await self.create(prompt, **options), "succeeded", "failed", "expired")

    async def download(self, url: str, **options: Any) -> Answer:
        async with self.session.get(url, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def video_of(self, task: Json) -> bytes:
        answer = await self.download(task["content"]["video_url"])
        assert (answer.status, answer.headers["Content-Type"]) == (200, "video/mp4")
        return answer.content


@dataclass
class Receiver:
    """Takes callbacks; answers the first ones with the given statuses, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    received: list[Json] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        self.received.append(await request.json())
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    async def until(self, holds: Callable[[list[Json]], bool]) -> list[Json]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds(self.received):
            assert time.monotonic() < deadline, self.received
            await asyncio.sleep(0.02)
        return self.received

    def statuses_of(self, task_id: str) -> list[str]:
        return [task["status"] for task in self.received if task["id"] == task_id]
