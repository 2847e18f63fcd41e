"""Jobs that their owners delete: what goes at once, what stays, and that files go however often a worker dies."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.jobs.domain.failures import FailureCode
from services.jobs.duties.delete_media import JOBS_OF_EACH_MAX, delete_media
from services.jobs.ports import ResultUnavailableError
from services.jobs.store.deletions import TAKE_DUE, SqlDeletions
from services.jobs.store.outbox import SqlOutbox
from tests.integration.jobs.api import Api, Refusal, running_api
from tests.integration.jobs.conftest import OWNER, a_job
from tests.integration.jobs.test_api_queries import plan
from tests.integration.jobs.world import World, open_world

SECRETS = ("waves", "https://a.example", "customer.example", '"a"', "token-", "cgt-")
DUE = "UPDATE deletions SET due_at = now() - interval '1 s'"


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    return await open_world(jobs_pool, a_job())


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool) as running:
        yield running


async def ended(world: World, *, completes: bool = True) -> None:
    await world.submitted()
    stored = await world.check(await world.claim())
    assert stored is not None
    if completes:
        await world.complete(stored)
    else:
        await world.refund(await world.work.give_up(stored, failure=FailureCode.TIMEOUT, detail="late"))


async def delete(api: Api, key: str, *, job_id: str = "") -> dict[str, Any]:
    return await api.call("Video.DeleteVideo", {"id": job_id or a_job().id}, key=key)


class Store:
    """Files by the ids of their jobs."""

    def __init__(self) -> None:
        self.deleted: list[tuple[str, date]] = []
        self.broken: set[str] = set()

    async def delete(self, job_id: str, created_on: date) -> None:
        if job_id in self.broken:
            raise ResultUnavailableError("store failed")
        self.deleted.append((job_id, created_on))


@pytest.mark.parametrize("completes", [True, False])
async def test_what_a_customer_said_goes_at_once_and_what_was_paid_stays(
    world: World, api: Api, completes: bool
) -> None:
    await ended(world, completes=completes)
    key = api.add_key()
    job_id = a_job().id
    usage = await world.sql("SELECT * FROM usage_daily"), await world.sql("SELECT * FROM usage_hourly")
    before = (await api.call("Video.GetVideo", {"id": job_id}, key=key))["data"]
    assert before.pop("metadata")

    answer = await delete(api, key)

    assert answer == {"data": {"id": job_id, "deleted": True}}
    assert (await api.call("Video.GetVideo", {"id": job_id}, key=key))["data"] == before
    assert (await api.call("Video.ListVideos", {}, key=key))["data"] == [before]
    [row] = await world.sql("SELECT * FROM jobs")
    assert not any(secret in str(row) for secret in SECRETS)
    assert await world.sql("SELECT * FROM attempts") == []
    assert usage == (
        await world.sql("SELECT * FROM usage_daily"),
        await world.sql("SELECT * FROM usage_hourly"),
    )
    assert api.notified == [True]


async def test_deleting_again_has_the_same_answer_and_is_noted_once(world: World, api: Api) -> None:
    await ended(world)
    key = api.add_key()

    assert await delete(api, key) == await delete(api, key)

    [entry] = await world.sql("SELECT actor, action, subject_id, details FROM audit")
    assert entry == {
        "actor": "key_0",
        "action": "job.delete",
        "subject_id": a_job().id,
        "details": {"account_id": OWNER.account_id},
    }
    assert len(await world.sql("SELECT * FROM deletions")) == 1


async def test_an_unfinished_job_is_refused_and_keeps_everything(world: World, api: Api) -> None:
    await world.submitted()
    before = await world.sql("SELECT * FROM jobs")

    with pytest.raises(Refusal, match="Cancel it first") as refused:
        await delete(api, api.add_key())

    assert refused.value.http_status == 409
    assert (await world.sql("SELECT * FROM jobs"), await world.sql("SELECT * FROM deletions")) == (before, [])


async def test_other_peoples_jobs_are_unknown(world: World, api: Api) -> None:
    await ended(world)
    foreign = api.add_key(account_id="acct_2")
    for key, job_id in ((foreign, a_job().id), (api.add_key(), a_job(99).id), (foreign, "vid_nonsense")):
        with pytest.raises(Refusal) as refused:
            await delete(api, key, job_id=job_id)
        assert refused.value.http_status == 404
    with pytest.raises(Refusal) as other_environment:
        await delete(api, api.add_key(environment="test"))
    assert other_environment.value.http_status == 404
    assert (await world.job()).input.prompt == "waves"


async def test_events_that_wait_are_delivered_as_they_are(world: World, api: Api) -> None:
    await ended(world)
    outbox = SqlOutbox(world.pool)
    [waiting] = await outbox.oldest(limit=10)

    await delete(api, api.add_key())

    assert await outbox.oldest(limit=10) == [waiting]
    assert b'"a":1' in waiting.body


async def test_files_are_deleted_however_often_a_worker_dies(world: World, api: Api) -> None:
    await ended(world)
    await delete(api, api.add_key())
    deletions, store = SqlDeletions(world.pool), Store()

    # One worker took it and died; of another the store failed.
    assert len(await deletions.take_due(each_max=1, most=1)) == 1
    assert await delete_media(deletions, delete=store.delete).run_once() == 0
    await world.sql(DUE)
    store.broken = {a_job().id}
    assert await delete_media(deletions, delete=store.delete).run_once() == 0
    await world.sql(DUE)
    store.broken = set()

    assert await delete_media(deletions, delete=store.delete).run_once() == 1

    assert store.deleted == [(a_job().id, utc_now().date())]
    assert await world.sql("SELECT * FROM deletions") == []


async def test_an_account_that_deletes_all_it_has_keeps_nobody_waiting(world: World) -> None:
    await world.sql(
        "INSERT INTO deletions (job_id, account_id, created_on, due_at)"
        " SELECT 'vid_' || n, 'acct_1', now(), now() - interval '1 h' FROM generate_series(1, 50) AS n"
        " UNION ALL SELECT 'vid_last', 'acct_2', now(), now()"
    )

    due = await SqlDeletions(world.pool).take_due(each_max=JOBS_OF_EACH_MAX, most=100)

    assert len(due) == JOBS_OF_EACH_MAX + 1
    assert "vid_last" in [each.job_id for each in due]


async def test_due_deletions_are_found_by_index(world: World) -> None:
    await world.sql(
        "INSERT INTO deletions (job_id, account_id, created_on)"
        " SELECT 'vid_' || n, 'acct_' || n % 100, now() FROM generate_series(1, 5000) AS n"
    )
    await world.sql("ANALYZE deletions")

    assert await plan(world.pool, TAKE_DUE, accounts_max=10, each_max=10, most=10) == {
        "deletions_due",
        "deletions_pkey",
    }
