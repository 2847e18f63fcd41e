"""The media of a job that does not complete is never public, however the job ends."""

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.egress.policy import UrlPolicy
from services.common.egress.session import open_egress_session
from services.common.egress.urls import origin_of
from services.common.errors import Reason, ServiceError
from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.states import State
from services.jobs.duties.delete_media import delete_media
from services.jobs.duties.sweep_staged import sweep_staged
from services.jobs.ports import ResultUnavailableError
from services.jobs.results import MediaKeeper
from services.jobs.store.deletions import SqlDeletions
from services.jobs.store.jobs import SqlAnyJobs
from services.jobs.timing import STAGED_SECONDS
from services.media.fetch import no_headers
from services.media.limits import MediaLimits
from services.media.prober import Prober
from services.media.store import MediaStore
from services.upstream.provider import Done
from tests.fakes.ark_server import ArkServer
from tests.fakes.provider_server import Reply
from tests.fakes.upstream import ScriptedMedia
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.world import World, open_world
from tests.unit.media.clips import make_clip

LIMITS = MediaLimits()
LATER = timedelta(seconds=STAGED_SECONDS + 60)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A job whose result really is fetched and stored."""

    world: World
    keeper: MediaKeeper
    host: ArkServer
    folder: Path
    video: bytes

    async def stored(self) -> Claim:
        """Takes the job to STORED."""
        self.host.will(Reply(body=self.video))
        await self.world.submitted()
        claim = await self.world.check(await self.world.claim())
        assert claim is not None
        assert claim.state is State.STORED
        return claim

    def public(self) -> list[str]:
        return [name for name in self._files() if not name.startswith(".")]

    def staged(self) -> list[str]:
        return [name for name in self._files() if name.startswith(".staged/")]

    async def sweep(self, *, later: timedelta = LATER) -> int:
        duty = sweep_staged(
            staged=self.keeper, jobs=SqlAnyJobs(self.world.pool), clock=lambda: utc_now() + later
        )
        return await duty.run_once()

    def _files(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("clips")
    return make_clip(folder / "clip.mp4", width=1280, height=720, frame_count=5 * 24).read_bytes()


@pytest.fixture
async def place(
    jobs_pool: Pool, video: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    world = await open_world(jobs_pool, a_job())
    prober = Prober(limits=LIMITS, processes_max=1)
    async with ArkServer() as host, prober.running():
        policy = UrlPolicy(origins_trusted=frozenset({origin_of(host.origin)}))
        async with open_egress_session(policy, connections_max=4) as session:
            folder = tmp_path / "media"
            keeper = MediaKeeper(
                store=MediaStore.open(str(folder), public_base_url="https://media.example"),
                session=session,
                prober=prober,
                limits=LIMITS,
            )
            world.media = cast("ScriptedMedia", keeper)
            world.provider.answers = [Done(video_url=f"{host.origin}/result.mp4")]
            yield Place(world=world, keeper=keeper, host=host, folder=folder, video=video)


async def test_a_result_is_public_when_its_job_has_completed_and_not_before(place: Place) -> None:
    claim = await place.stored()
    assert (len(place.staged()), place.public()) == (2, [])

    await place.world.complete(claim)

    job = await place.world.job()
    assert job.output is not None
    addresses = [job.output.video_url, job.output.thumbnail_url]
    assert place.public() == sorted(url.removeprefix("https://media.example/") for url in addresses)
    assert place.staged() == []


async def test_a_job_that_cannot_be_charged_shows_nothing(place: Place) -> None:
    claim = await place.stored()
    place.world.ledger.state[claim.job.id] = "expired"

    failing = await place.world.complete(claim)
    assert failing is not None
    assert place.public() == []
    await place.world.refund(failing)

    assert (place.public(), place.staged()) == ([], [])
    assert (await place.world.job()).charged_micros == 0


async def test_nothing_is_public_while_billing_cannot_be_asked(place: Place) -> None:
    claim = await place.stored()
    place.world.ledger.outage = ServiceError(Reason.UNAVAILABLE, "away")

    with pytest.raises(ServiceError):
        await place.world.complete(claim)

    assert place.public() == []


async def test_a_worker_that_dies_after_publishing_is_followed_by_one_that_completes(place: Place) -> None:
    claim = await place.stored()
    await place.world.ledger.capture(claim.job.id, amount_micros=claim.job.reserved_micros)
    await place.keeper.publish(claim.job, secret="token-1")

    await place.world.complete(await place.world.claim())

    assert await place.world.state() is None
    assert (len(place.public()), place.staged()) == (2, [])


async def test_a_store_that_is_away_delays_a_job_that_is_paid(place: Place) -> None:
    claim = await place.stored()
    place.folder.rename(place.folder.with_name("away"))
    place.folder.write_bytes(b"")

    assert await place.world.complete(claim) is None
    assert await place.world.state() == "stored"

    place.folder.unlink()
    place.folder.with_name("away").rename(place.folder)
    await place.world.complete(await place.world.claim())
    assert await place.world.state() is None
    assert len(place.public()) == 2


async def test_a_published_result_goes_when_its_job_fails_after_all(place: Place) -> None:
    claim = await place.stored()
    await place.keeper.publish(claim.job, secret="token-1")
    await place.world.sql("UPDATE work SET state = 'failing'")
    await place.world.sql("UPDATE jobs SET failure = 'timeout'")

    await place.world.refund(await place.world.claim())

    assert (place.public(), place.staged()) == ([], [])


@pytest.mark.parametrize("completes", [True, False])
async def test_what_a_late_worker_stages_stays_out_of_sight_and_is_swept(
    place: Place, completes: bool
) -> None:
    claim = await place.stored()
    before = dict.fromkeys(place.public())
    if completes:
        await place.world.complete(claim)
        before = {name: (place.folder / name).stat().st_ino for name in place.public()}
    else:
        await place.world.refund(
            await place.world.work.give_up(claim, failure=FailureCode.TIMEOUT, detail="operator")
        )
    place.host.will(Reply(body=place.video))
    await place.keeper.keep(
        claim.job, source_url=f"{place.host.origin}/late.mp4", headers_for=no_headers, secret="token-1"
    )
    assert len(place.staged()) == 2

    assert await place.sweep(later=timedelta()) == 0
    assert len(place.staged()) == 2
    assert await place.sweep() == 2

    assert place.staged() == []
    assert {name: (place.folder / name).stat().st_ino for name in place.public()} == before


async def test_what_belongs_to_an_unfinished_job_is_not_swept(place: Place) -> None:
    claim = await place.stored()

    assert await place.sweep() == 0

    await place.world.complete(claim)
    assert len(place.public()) == 2


async def test_a_completed_job_that_was_never_published_is_made_whole(place: Place) -> None:
    # As a worker of the former release completes a job that one of this release stored.
    claim = await place.stored()
    place.world.media = ScriptedMedia()
    await place.world.complete(claim)
    assert place.public() == []

    assert await place.sweep() == 2

    assert (len(place.public()), place.staged()) == (2, [])


async def test_what_belongs_to_no_job_is_swept(place: Place) -> None:
    claim = await place.stored()
    stranger = replace(claim.job, id="vid_stranger")
    place.host.will(Reply(body=place.video))
    await place.keeper.keep(
        stranger, source_url=f"{place.host.origin}/x.mp4", headers_for=no_headers, secret="token"
    )

    assert await place.sweep() == 2
    assert all(claim.job.id in name for name in place.staged())


async def test_what_a_killed_worker_had_written_of_a_file_is_swept(place: Place) -> None:
    claim = await place.stored()
    fragment = place.folder / f"{place.staged()[0]}#1"
    fragment.write_bytes(b"half")

    assert await place.sweep(later=timedelta()) == 0
    assert await place.sweep() == 1

    assert not fragment.exists()
    await place.world.complete(claim)
    assert len(place.public()) == 2


async def test_a_result_that_is_lost_is_said_to_be(place: Place) -> None:
    claim = await place.stored()
    for name in place.staged():
        (place.folder / name).unlink()

    with pytest.raises(ResultUnavailableError, match="neither in the store nor staged"):
        await place.keeper.publish(claim.job, secret="token-1")


async def test_media_that_are_too_old_are_deleted_where_they_are_public(place: Place) -> None:
    claim = await place.stored()
    await place.world.complete(claim)
    assert len(place.public()) == 2

    job = await place.world.job()
    for _ in range(2):
        await place.keeper.delete(job.id, job.created_at.date())

    assert place.public() == []


async def test_media_that_their_owner_deleted_do_not_come_back_from_a_copy_that_was_staged(
    place: Place,
) -> None:
    claim = await place.stored()
    assert claim.attempt is not None
    await place.world.complete(claim)
    place.host.will(Reply(body=place.video))
    url = f"{place.host.origin}/again.mp4"
    await place.keeper.keep(claim.job, source_url=url, headers_for=no_headers, secret=claim.attempt.token)
    deletions = SqlDeletions(place.world.pool)
    await deletions.register(await place.world.job(), note=AuditNote(actor="key_1", reason="asked"))
    await delete_media(deletions, delete=place.keeper.delete).run_once()

    assert await place.sweep() == 2

    assert (place.public(), place.staged()) == ([], [])
