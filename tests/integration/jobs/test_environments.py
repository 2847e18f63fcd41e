"""A test key never causes a call to a paid provider, and a live key is never served by another's place."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from pydantic import SecretStr
from reelgate.video.v1.video_pb2 import VideoInput
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest
from reelgate.video.v1.video_service_pb2_grpc import VideoServiceStub

from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim
from services.jobs.ports import Providers
from services.jobs.provider_lookup import UnreachableRouteError, provider_of
from services.jobs.steps.check import check
from services.jobs.steps.recover import recover
from services.jobs.steps.submit import submit
from services.jobs.store.queue.work import SqlWork
from services.jobs.wiring.process import open_jobs
from services.simulator.answers import API_PATH
from services.simulator.scenarios import SCENARIOS
from services.simulator.server import serve_simulator
from services.simulator.settings import Mode, SimulatorSettings
from tests.conftest import MakeDatabase
from tests.fakes.ark_server import ArkServer
from tests.fakes.provider_server import Reply
from tests.fakes.upstream import ScriptedMedia, ScriptedProvider
from tests.integration.billing.running import Billing, running_billing
from tests.integration.jobs.conftest import OWNER, a_candidate, a_job, jobs_settings, store_jobs
from tests.integration.jobs.world import TELLING
from tests.patience import PATIENCE_SECONDS

SHOW_SECONDS = 0.1
PROMPTS = ["Everything goes well.", *(f"[simulate: {scenario.directive}]" for scenario in SCENARIOS)]
UNASKED = "SELECT id FROM jobs WHERE NOT EXISTS (SELECT FROM attempts WHERE job_id = jobs.id)"
CHECKS_MIN = 10
"""Then every way to ask a provider has been gone often enough."""


@dataclass(frozen=True)
class Plant:
    """Billing and jobs with both environments' providers: the paid one is a fake that remembers every call."""

    billing: Billing
    ark: ArkServer
    simulator: Counter[str]
    """Requests by kind."""
    database_url: str
    videos: Any

    async def create(self, environment: str, *prompts: str) -> None:
        account = await self.billing.account(credits_live=1000)
        key = (await self.billing.new_key(account, environment)).secret
        for prompt in prompts:
            request = CreateVideoRequest(
                model="mini", input=VideoInput(prompt=prompt, duration=4, resolution="480p")
            )
            await self.videos.CreateVideo(
                request, metadata=(("authorization", f"Bearer {key}"),), timeout=PATIENCE_SECONDS
            )

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as connection:
            return await (await connection.execute(statement.encode())).fetchall()


@pytest.fixture
async def plant(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Plant]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ark = await enter(ArkServer())
        simulator = await enter(
            serve_simulator(SimulatorSettings(api_key=SecretStr("sim"), mode=Mode.INSTANT, folder=tmp_path))
        )
        billing = await enter(running_billing(make_database("billing")))
        url = make_database("jobs")
        settings = jobs_settings(
            database_url=url,
            billing_target=billing.running.internal_address,
            webhooks_target=billing.running.internal_address,
            media_store_url=str(tmp_path / "media"),
            ark_base_url=ark.base_url,
            ark_api_key=SecretStr("paid"),
            live_provider="catalogue",
            simulator_base_url=simulator.url + API_PATH,
        )
        running = await enter(open_jobs(settings))
        channel = await enter(grpc.aio.insecure_channel(str(running.public_address)))
        yield Plant(billing, ark, simulator.counts, url, VideoServiceStub(channel))


async def until(holds: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(SHOW_SECONDS)


async def test_no_magic_prompt_of_a_test_key_reaches_the_paid_provider(plant: Plant) -> None:
    await plant.create("test", *PROMPTS)

    async def all_asked() -> bool:
        seen = plant.simulator
        return seen["lists"] > 0 and seen["gets"] >= CHECKS_MIN and not await plant.rows(UNASKED)

    await until(all_asked)
    assert plant.simulator["creates"] >= len(PROMPTS)
    assert plant.ark.seen == []
    assert await plant.rows("SELECT DISTINCT route FROM attempts") == [("simulator",)]


async def test_a_live_job_is_rendered_by_the_paid_provider(plant: Plant) -> None:
    refusal = {"error": {"code": "InvalidParameter", "message": "no", "type": "BadRequest"}}
    plant.ark.will(Reply(status=400, body=refusal))
    await plant.create("live", "[simulate: fail]")

    async def has_failed() -> bool:
        return await plant.rows("SELECT status FROM jobs") == [("failed",)]

    await until(has_failed)
    assert [request.method for request in plant.ark.seen] == ["POST"]
    assert await plant.rows("SELECT route FROM attempts") == [("ark-mini",)]


@pytest.mark.parametrize("step", ["submit", "recover", "check"])
async def test_a_test_job_whose_attempt_names_the_paid_provider_is_refused_and_nobody_called(
    step: str, jobs_pool: Pool
) -> None:
    paid, simulator, work = ScriptedProvider(), ScriptedProvider(), SqlWork(jobs_pool)
    providers: Providers = {"live": {"ark": paid, "simulator": simulator}, "test": {"simulator": simulator}}
    await store_jobs(jobs_pool, replace(a_job(), owner=replace(OWNER, environment="test")))
    [claim] = await work.claim(limit=1, lease_seconds=600)
    claim = await work.open_attempt(claim, candidates=(a_candidate(),), token="t")
    attempt = claim.attempt
    assert attempt is not None
    if step == "check":
        claim = replace(claim, attempt=replace(attempt, task_id="cgt-1"))

    await _take(step, claim, work, providers)

    with pytest.raises(UnreachableRouteError, match="of environment test names route ark"):
        provider_of(attempt, "test", providers)
    assert (paid.orders, simulator.orders) == ([], [])


async def _take(step: str, claim: Claim, work: SqlWork, providers: Providers) -> None:
    if step == "submit":
        await submit(claim, work=work, providers=providers, callback_url=lambda _: None, **TELLING)
    elif step == "recover":
        await recover(claim, work=work, providers=providers, **TELLING)
    else:
        await check(
            claim, work=work, providers=providers, media=ScriptedMedia(), may_fetch=lambda _: True, **TELLING
        )
