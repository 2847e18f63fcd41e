"""A task whose submission was not answered is adopted by a callback that its provider signed, and by no other."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from reelgate.callback.v1.callback_service_pb2 import ReceiveCallbackRequest

from services.common.egress.session import open_egress_session
from services.common.postgres.database import Pool
from services.jobs.callback_tokens import CallbackTokens
from services.jobs.domain.claims import Claim
from services.jobs.duties.stop_strays import stop_strays
from services.jobs.providers import CatalogueProviders, provider_policy
from services.jobs.store.queue.strays import SqlStrays
from tests.conftest import KEY_SECRET
from tests.fakes.fal_server import APP, FalServer
from tests.fakes.provider_server import Fault, Reply
from tests.fakes.upstream import ScriptedProvider
from tests.integration.jobs.api import Api, running_api
from tests.integration.jobs.conftest import a_job, jobs_settings
from tests.integration.jobs.signing_provider import (
    Callback,
    SigningProvider,
    open_fal,
    open_replicate,
)
from tests.integration.jobs.world import World, open_world
from tests.patience import PATIENCE_SECONDS

TOKENS = CallbackTokens([KEY_SECRET])
BASE_URL = "https://ours.example/callbacks/"


@dataclass
class CurrentCatalogueOf:
    """A catalogue that stays in force, with one key for all credentials."""

    catalogue: Any

    def __call__(self) -> Any:
        return self.catalogue

    @property
    def in_force(self) -> Any:
        return SimpleNamespace(catalogue=self.catalogue, keys={("fal", "main"): "k"})


@dataclass
class Scene:
    """One job, a provider that signs, and the port that it calls back at."""

    world: World
    house: SigningProvider
    api: Api

    async def call(self, callback: Callback, *, token: str | None = None) -> None:
        """Sends a callback to the address of the attempt."""
        headers, body = callback
        address = TOKENS.sign(token or await self.token())
        request = ReceiveCallbackRequest(token=address, body=HttpBody(data=body))
        await self.api.stubs["Callback"].ReceiveCallback(
            request, metadata=tuple(headers.items()), timeout=PATIENCE_SECONDS
        )

    async def token(self) -> str:
        return str((await self.attempt())["token"])

    async def attempt(self) -> dict[str, Any]:
        [attempt] = await self.world.sql("SELECT * FROM attempts")
        return attempt

    async def wakes(self) -> int:
        return int((await self.world.sql("SELECT wake_no FROM work"))[0]["wake_no"])

    async def lost_submission(self) -> Any:
        """Returns the task of a submission that was accepted and not answered, once it has ended."""
        self.house.server.will(Reply(fault=Fault.LOSE))
        await self.world.submitted()
        [task] = self.house.tasks()
        assert task.webhook.startswith(BASE_URL)
        task.complete()
        return task

    async def recover(self) -> Claim | None:
        return await self.world.recover(await self.world.claim())


@pytest.fixture(params=[open_fal, open_replicate], ids=["fal", "replicate"])
async def scene(request: pytest.FixtureRequest, jobs_pool: Pool) -> AsyncIterator[Scene]:
    async with request.param() as house, running_api(jobs_pool, provider=house.provider) as api:
        world = await open_world(jobs_pool, a_job())
        world.provider = cast("ScriptedProvider", house.provider)
        world.callback_url = lambda token: BASE_URL + TOKENS.sign(token)
        world.upstream_model = house.model
        yield Scene(world=world, house=house, api=api)


async def test_a_lost_answer_is_made_good_by_the_callback_whichever_come_besides(scene: Scene) -> None:
    task = await scene.lost_submission()
    await scene.recover()
    assert await scene.world.state() == "submitting", "nothing else names the task"

    for _ in range(2):
        await scene.call(scene.house.callback(task))
    await scene.recover()
    for age_seconds in (200, 0):
        await scene.call(scene.house.callback(task, age_seconds=age_seconds))

    assert (await scene.attempt())["task_id"] == scene.house.task_id(task)
    await scene.world.check(await scene.world.claim())
    await scene.world.complete(await scene.world.claim())
    await scene.call(scene.house.callback(task))
    assert (await scene.world.job()).status == "completed"
    assert scene.house.tasks() == [task], "rendered once"
    assert await scene.world.sql("SELECT * FROM strays") == []


async def test_a_callback_may_come_before_the_answer(scene: Scene) -> None:
    async def call_back(task: Any) -> None:
        task.complete()
        await scene.call(scene.house.callback(task))

    scene.house.server.meanwhile = call_back
    await scene.world.submitted()

    [task] = scene.house.tasks()
    attempt = await scene.attempt()
    assert attempt["task_id"] == attempt["claimed_task_id"] == scene.house.task_id(task)
    [claim] = await scene.world.work.claim(limit=1, lease_seconds=60)
    assert claim.state == "processing", "due at once"


async def test_whoever_knows_the_address_and_cannot_sign_changes_nothing(scene: Scene) -> None:
    task = await scene.lost_submission()
    headers, body = scene.house.callback(task)
    strange = scene.house.callback(scene.house.strange_task(), wrong_key=True)
    forged: list[Callback] = [
        ({}, body),
        ({}, b""),
        (headers, body + b" "),
        strange,
        scene.house.callback(task, wrong_key=True),
        scene.house.callback(task, age_seconds=301),
        scene.house.callback(task, age_seconds=-302),
        *(({name: headers[name] for name in headers if name != missing}, body) for missing in headers),
    ]

    for callback in forged:
        await scene.call(callback)
    await scene.recover()

    attempt = await scene.attempt()
    assert (attempt["claimed_task_id"], attempt["is_claim_authentic"], attempt["task_id"]) == (
        None,
        False,
        None,
    )
    assert (await scene.wakes(), scene.api.notified) == (0, [])
    assert await scene.world.state() == "submitting"


async def test_a_task_that_our_credential_does_not_show_is_not_adopted(scene: Scene) -> None:
    await scene.lost_submission()
    strange = scene.house.strange_task()

    await scene.call(scene.house.callback(strange))
    await scene.recover()

    assert (await scene.attempt())["task_id"] is None
    assert await scene.world.state() == "submitting"


async def test_keys_may_change_and_be_out_of_reach(scene: Scene) -> None:
    task = await scene.lost_submission()
    scene.house.server.will(Reply(status=503))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await scene.call(scene.house.callback(task))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    scene.house.renew_key_in_time()
    await scene.call(scene.house.callback(scene.house.strange_task(), age_seconds=400))
    await scene.call(scene.house.callback(task))
    assert await scene.wakes() == 1

    scene.house.renew_key_in_time()
    await scene.call(scene.house.callback(task))
    await scene.recover()

    assert await scene.wakes() == 2
    assert (await scene.attempt())["task_id"] == scene.house.task_id(task)


async def test_the_keys_of_fal_are_where_the_settings_say() -> None:
    async with FalServer() as server:
        settings = jobs_settings(fal_callback_keys_url=server.keys_url)
        fal = SimpleNamespace(name="fal", provider="fal", base_url="https://queue.fal.run", keys=("main",))
        catalogue = SimpleNamespace(credentials={"fal": fal}, routes={})
        current = cast("Any", CurrentCatalogueOf(catalogue))
        async with open_egress_session(provider_policy(settings, current), connections_max=1) as session:
            provider = CatalogueProviders(settings, session, current)["live"]["fal"]
            request = server.accept(APP, {}, webhook=None)

            hint = await provider.read_callback(*server.callback(request, at=time.time()), model=APP)

    assert hint is not None
    assert hint.is_authentic


async def test_a_task_that_is_named_too_late_is_on_record_and_followed_to_its_end(scene: Scene) -> None:
    task = await scene.lost_submission()
    claim = await scene.world.claim()
    await scene.world.work.drop_attempt(claim, outcome="lost", detail="", seconds=3600)

    await scene.call(scene.house.callback(task))
    await stop_strays(
        strays=SqlStrays(scene.world.pool), providers={"live": {"ark": scene.house.provider}}
    ).run_once()

    [stray] = await scene.world.sql("SELECT task_id, reason, is_certain, outcome FROM strays")
    assert tuple(stray.values()) == (scene.house.task_id(task), "late_callback", True, "rendered")
    assert await scene.world.state() == "pending"
