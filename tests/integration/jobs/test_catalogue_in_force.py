"""A running process takes a changed catalogue: jobs go to the new route, and no request fails meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from reelgate.video.v1.video_pb2 import VideoInput
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest
from reelgate.video.v1.video_service_pb2_grpc import VideoServiceStub

from services.jobs.wiring.process import open_jobs
from tests.conftest import MakeDatabase
from tests.fakes.ark_server import KEY, ArkServer
from tests.integration.billing.running import running_billing
from tests.integration.jobs.conftest import jobs_settings
from tests.patience import PATIENCE_SECONDS

TEXT = """
credentials:
  {name}: {{provider: ark, base_url: "{url}", keys: [{{name: main, env: {variable}}}]}}
routes:
  of-{name}:
    credential: {name}
    model: m
    cost_usd_per_second: {{480p: "0", 720p: "0", 1080p: "0", 4k: "0"}}
models:
  mini:
    resolutions: [480p, 720p, 1080p]
    duration_seconds: {{min: 4, max: 15}}
    aspect_ratios: ["16:9"]
    capabilities: []
    routes: [{{route: of-{name}}}]
"""
SHOW_SECONDS = 0.1


@dataclass
class Plant:
    """A process of jobs whose catalogue leads to the first of two providers."""

    folder: Path
    servers: dict[str, ArkServer]
    videos: Any
    secret: str
    database_url: str
    created: list[str] = field(default_factory=list)

    def put(self, name: str, *, variable: str = "PROVIDER_KEY") -> None:
        """Brings another version of the file, as Kubernetes does it."""
        version = self.folder / f"..{name}.{variable}"
        version.mkdir(exist_ok=True)
        text = TEXT.format(name=name, url=self.servers[name].base_url, variable=variable)
        (version / "catalogue.yaml").write_text(text, encoding="utf-8")
        (self.folder / "..next").symlink_to(version.name)
        (self.folder / "..next").replace(self.folder / "..data")

    async def create(self) -> None:
        request = CreateVideoRequest(
            model="mini", input=VideoInput(prompt="waves", duration=4, resolution="480p")
        )
        metadata = (("authorization", f"Bearer {self.secret}"),)
        answer = await self.videos.CreateVideo(request, metadata=metadata, timeout=PATIENCE_SECONDS)
        self.created.append(answer.data.id)

    async def routes(self) -> dict[str, int]:
        statement = b"SELECT route, count(*) FROM attempts GROUP BY route"
        async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as connection:
            return dict(await (await connection.execute(statement)).fetchall())

    async def create_until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Creates jobs, several at once, until something holds. Any that fails ends the test."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not await holds():
            assert time.monotonic() < deadline
            await asyncio.gather(*(self.create() for _ in range(3)))
            await asyncio.sleep(SHOW_SECONDS)


@pytest.fixture
async def plant(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Plant]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        servers = {"first": await enter(ArkServer()), "second": await enter(ArkServer())}
        billing = await enter(running_billing(make_database("billing")))
        url = make_database("jobs")
        folder = tmp_path / "mounted"
        folder.mkdir()
        (folder / "catalogue.yaml").symlink_to("..data/catalogue.yaml")
        account = await billing.account(credits_live=100_000)
        secret = (await billing.new_key(account, "live")).secret
        settings = jobs_settings(
            database_url=url,
            billing_target=billing.running.internal_address,
            webhooks_target=billing.running.internal_address,
            media_store_url=str(tmp_path / "media"),
            catalogue_file=folder / "catalogue.yaml",
            live_provider="catalogue",
        )
        plant = Plant(folder, servers, None, secret, url)
        plant.put("first")
        running = await enter(open_jobs(settings, environment={"PROVIDER_KEY": KEY}))
        channel = await enter(grpc.aio.insecure_channel(str(running.public_address)))
        plant.videos = VideoServiceStub(channel)
        yield plant


async def test_new_jobs_take_the_routes_of_the_new_file_and_none_is_refused_meanwhile(plant: Plant) -> None:
    async def first_is_used() -> bool:
        return "of-first" in await plant.routes()

    async def second_is_used() -> bool:
        return "of-second" in await plant.routes()

    async def all_are_submitted() -> bool:
        submitted = sum(len(server.task_ids) for server in plant.servers.values())
        return submitted == len(plant.created)

    await plant.create_until(first_is_used)
    plant.put("second", variable="NO_SUCH_KEY")  # cannot be used: the first stays in force
    before = len(plant.created)
    await plant.create_until(lambda: asyncio.sleep(0, len(plant.created) >= before + 9))
    assert await plant.routes() == {"of-first": (await plant.routes())["of-first"]}

    plant.put("second")
    await plant.create_until(second_is_used)

    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await all_are_submitted():
        assert time.monotonic() < deadline
        await asyncio.sleep(SHOW_SECONDS)
    assert sum((await plant.routes()).values()) == len(plant.created)
