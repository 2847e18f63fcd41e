"""Jobs of providers that serve results behind their credential: from the order to the stored video, and what may go wrong."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from services.common.egress.policy import UrlPolicy
from services.common.egress.session import open_egress_session
from services.common.egress.urls import origin_of
from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim
from services.jobs.domain.job import Job
from services.jobs.domain.states import State
from services.jobs.results import MediaKeeper
from services.media.limits import MediaLimits
from services.media.prober import Prober
from services.media.store import MediaStore
from services.upstream.registry import KINDS
from tests.fakes.faithful_server import KEY, FaithfulServer
from tests.fakes.openai_videos_server import OpenAIVideosServer
from tests.fakes.openrouter_server import OpenRouterServer
from tests.fakes.provider_server import Fault, ProviderServer, Reply
from tests.fakes.upstream import ScriptedMedia, ScriptedProvider
from tests.fakes.veo_server import VeoServer
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.world import World, open_world
from tests.unit.media.clips import make_clip

SERVERS: dict[str, type[FaithfulServer]] = {
    "openai_videos": OpenAIVideosServer,
    "openrouter": OpenRouterServer,
    "veo": VeoServer,
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A job at a provider that serves its results itself, or sends the client on to a file host of somebody else."""

    world: World
    provider: FaithfulServer
    foreign: ProviderServer
    video: bytes
    scratch: Path

    async def checked(self) -> Claim | None:
        """Submits the job, lets the provider finish, and takes one look."""
        task_id = self.provider.FIRST_ID
        self.provider.will(Reply(body={"id": task_id, "name": task_id, "status": "pending"}))
        await self.world.submitted()
        self.provider.finish(task_id)
        return await self.world.check(await self.world.claim())

    def send_on(self, location: str) -> None:
        assert isinstance(self.provider, VeoServer | OpenAIVideosServer | OpenRouterServer)
        self.provider.sends_results_to = location

    def leaks(self) -> list[str]:
        """Returns what the file host was told that holds the credential."""
        told = [f"{seen.target} {seen.headers} {seen.body!r}" for seen in self.foreign.seen]
        return [each for each in told if KEY in each]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("clips")
    return make_clip(folder / "clip.mp4", width=1280, height=720, frame_count=8 * 24).read_bytes()


@pytest.fixture(params=SERVERS)
async def place(
    request: pytest.FixtureRequest,
    jobs_pool: Pool,
    video: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Place]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    world = await open_world(jobs_pool, _plain_job())
    limits = MediaLimits()
    prober = Prober(limits=limits, processes_max=1)
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(SERVERS[request.param]())
        foreign = await stack.enter_async_context(ProviderServer())
        await stack.enter_async_context(prober.running())
        policy = UrlPolicy(origins_trusted=frozenset(map(origin_of, (provider.origin, foreign.origin))))
        session = await stack.enter_async_context(open_egress_session(policy, connections_max=4))
        provider.video = video
        adapter = KINDS[request.param].open(session=session, base_url=provider.base_url, api_key=KEY)
        store = MediaStore.open(str(tmp_path / "media"), public_base_url="https://media.example")
        keeper = MediaKeeper(store=store, session=session, prober=prober, limits=limits)
        world.provider = cast("ScriptedProvider", adapter)
        world.media = cast("ScriptedMedia", keeper)
        yield Place(world=world, provider=provider, foreign=foreign, video=video, scratch=scratch)
    assert list(scratch.iterdir()) == []


def _plain_job() -> Job:
    job = a_job()
    return replace(job, input=replace(job.input, duration_seconds=8, generate_audio=True, image_urls=()))


async def test_a_result_is_fetched_with_the_credential_and_stored(place: Place) -> None:
    stored = await place.checked()

    assert stored is not None
    assert stored.state is State.STORED
    assert all(KEY in str(seen.headers) for seen in place.provider.seen)
    await place.world.complete(stored)
    assert (await place.world.job()).status == "completed"


async def test_the_file_host_behind_the_provider_never_sees_the_credential(place: Place) -> None:
    place.send_on(f"{place.foreign.origin}/clip.mp4?sig=1")
    place.foreign.will(Reply(status=302, headers={"Location": "/moved.mp4"}), Reply(body=place.video))

    stored = await place.checked()

    assert stored is not None
    assert stored.state is State.STORED
    assert [seen.target for seen in place.foreign.seen] == ["/clip.mp4?sig=1", "/moved.mp4"]
    assert place.leaks() == []


@pytest.mark.parametrize("place", ["openrouter"], indirect=True)
async def test_endless_redirects_end_the_job_and_its_credits_go_back(place: Place) -> None:
    loop = f"{place.foreign.origin}/round"
    place.send_on(loop)
    place.foreign.will(*[Reply(status=302, headers={"Location": loop})] * 5)

    failing = await place.checked()
    assert failing is not None
    await place.world.refund(failing)

    job = await place.world.job()
    assert (job.status, job.charged_micros) == ("failed", 0)
    assert place.leaks() == []


@pytest.mark.parametrize("place", ["openrouter"], indirect=True)
@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=403, body=b"Request has expired"),
        Reply(status=503),
        Reply(body=b"x" * 4000, fault=Fault.TRUNCATE),
        Reply(fault=Fault.RESET),
    ],
    ids=["expired", "unavailable", "truncated", "reset"],
)
async def test_a_result_that_cannot_be_fetched_now_is_fetched_later(place: Place, reply: Reply) -> None:
    place.send_on(f"{place.foreign.origin}/clip.mp4")
    place.foreign.will(reply)
    assert await place.checked() is None
    assert await place.world.state() == State.PROCESSING

    place.foreign.will(Reply(body=place.video))
    stored = await place.world.check(await place.world.claim())

    assert stored is not None
    assert stored.state is State.STORED
    assert place.leaks() == []


@pytest.mark.parametrize("place", ["openrouter"], indirect=True)
async def test_a_video_cut_short_at_its_source_is_never_delivered(place: Place) -> None:
    place.provider.video = place.video[:-2000]

    failing = await place.checked()
    assert failing is not None
    await place.world.refund(failing)

    assert (await place.world.job()).status == "failed"
