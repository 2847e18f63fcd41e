"""What is kept of ended jobs, for how long, and what stays for ever."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from services.common.audit.note import AuditNote
from services.common.loop import Duty
from services.common.postgres.database import Pool
from services.jobs.convert import seedancee2
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job
from services.jobs.domain.retention import OwnDays
from services.jobs.domain.states import Status
from services.jobs.duties.forget_content_and_media import (
    ACCOUNTS_MAX,
    JOBS_OF_EACH_MAX,
    forget_content,
    forget_media,
)
from services.jobs.ports import ResultUnavailableError
from services.jobs.settings import JobsSettings
from services.jobs.store.kept_days import SqlKeptDays
from services.jobs.store.retention import ACCOUNTS, AGED, Kept, SqlRetention
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.test_api_queries import plans
from tests.integration.jobs.world import World, open_world

DAYS = 365
NOTE = AuditNote(actor="tests", reason="agreed")
SECRETS = ("waves", "https://a.example", "customer.example", '"a"')
MANY_JOBS = """
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version, micros_per_second,
        reserved_micros, charged_micros, created_at, ended_at, video_url, thumbnail_url, output_seconds)
    SELECT 'vid_' || lpad(n::text, 26, '0'), 'acct_' || lpad((n % {accounts})::text, 4, '0'), 'live', 'seedancee2',
        'completed', 'mini',
        '{{"prompt":"waves","duration_seconds":5,"resolution":"720p","aspect_ratio":"16:9","generate_audio":false,'
            '"watermark":false,"return_last_frame":false,"seed":7}}', '1', 1, 1, 1,
        now() - interval '{age} days', now() - interval '{age} days', 'https://media.example/v', 'https://media.example/p', 5
    FROM generate_series({first}, {last}) AS n
"""
REFUNDS = """
    INSERT INTO refunds (refund_id, job_id, amount_micros, actor, reason, due_at, applied_at)
    SELECT id, id, 1, 'a', 'b', now(), now() FROM jobs
"""


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    return await open_world(jobs_pool, a_job())


async def ended(world: World, *, days_ago: int, completes: bool = True) -> Job:
    """Takes the job to its end, that long ago."""
    await world.submitted()
    stored = await world.check(await world.claim())
    assert stored is not None
    if completes:
        await world.complete(stored)
    else:
        await world.refund(await world.work.give_up(stored, failure=FailureCode.TIMEOUT, detail="late"))
    await world.sql(f"UPDATE jobs SET ended_at = ended_at - interval '{days_ago} days'")
    return await world.job()


def forgetting(
    kind: Kept,
    pool: Pool,
    *,
    days: int = DAYS,
    own: Mapping[str, int] | None = None,
    deleted: list[str] | None = None,
    broken: Sequence[str] = (),
) -> Duty:
    retention = SqlRetention(pool)

    async def delete(job_id: str, _created_on: date) -> None:
        if job_id in broken:
            raise ResultUnavailableError("store failed")
        (deleted if deleted is not None else []).append(job_id)

    def days_of(account_id: str, chosen: int | None) -> int:
        return (own or {}).get(account_id, days) if chosen is None else chosen

    chosen = SqlKeptDays(pool)
    if kind is Kept.CONTENT:
        return forget_content(retention, own=chosen, days_of=days_of)
    return forget_media(retention, own=chosen, days_of=days_of, delete=delete)


async def test_what_a_customer_said_is_forgotten_when_it_is_old(world: World) -> None:
    before = await ended(world, days_ago=DAYS + 1)

    assert await forgetting(Kept.CONTENT, world.pool).run_once() == 1

    [row] = await world.sql("SELECT * FROM jobs")
    assert not any(secret in str(row) for secret in SECRETS)
    assert await world.sql("SELECT * FROM attempts") == []
    after = await world.job()
    kept = replace(before, input=after.input, metadata_json=None, callback_url=None)
    assert after == kept
    assert after.input.duration_seconds == before.input.duration_seconds


async def test_what_was_paid_stays(world: World) -> None:
    await ended(world, days_ago=DAYS + 1)
    usage = await world.sql("SELECT * FROM usage_daily"), await world.sql("SELECT * FROM usage_hourly")

    await forgetting(Kept.CONTENT, world.pool).run_once()
    await forgetting(Kept.MEDIA, world.pool).run_once()

    [row] = await world.sql("SELECT * FROM jobs")
    assert (row["charged_micros"], row["reserved_micros"]) == (50_000_000, 50_000_000)
    assert (
        await world.sql("SELECT * FROM usage_daily"),
        await world.sql("SELECT * FROM usage_hourly"),
    ) == usage


@pytest.mark.parametrize("completes", [True, False])
async def test_an_old_job_is_shown_as_before_but_for_its_metadata(world: World, completes: bool) -> None:
    before = await ended(world, days_ago=DAYS + 1, completes=completes)

    await forgetting(Kept.CONTENT, world.pool).run_once()
    await forgetting(Kept.MEDIA, world.pool).run_once()

    shown_before, shown = (seedancee2.video_fields(job) for job in (before, await world.job()))
    assert shown == {name: value for name, value in shown_before.items() if name != "metadata"}
    assert "metadata" in shown_before


@pytest.mark.parametrize("kind", Kept)
async def test_what_is_not_old_is_kept(world: World, kind: Kept) -> None:
    await ended(world, days_ago=DAYS - 1)

    assert await forgetting(kind, world.pool).run_once() == 0
    assert await forgetting(kind, world.pool, days=0).run_once() == 0


@pytest.mark.parametrize("kind", Kept)
async def test_an_account_may_have_days_of_its_own(world: World, kind: Kept) -> None:
    job = await ended(world, days_ago=40)

    assert await forgetting(kind, world.pool, own={job.owner.account_id: 0}, days=1).run_once() == 0
    assert await forgetting(kind, world.pool, own={job.owner.account_id: 30}).run_once() == 1
    assert await forgetting(kind, world.pool, own={job.owner.account_id: 30}).run_once() == 0


@pytest.mark.parametrize("kind", Kept)
async def test_what_an_operator_chose_for_an_account_counts_more(world: World, kind: Kept) -> None:
    job = await ended(world, days_ago=40)
    kept, account_id = SqlKeptDays(world.pool), job.owner.account_id
    duty = forgetting(kind, world.pool, own={account_id: 1})

    await kept.choose(account_id, OwnDays(media_days=0, content_days=0), note=NOTE)
    assert await duty.run_once() == 0
    await kept.choose("acct_2", OwnDays(media_days=1, content_days=1), note=NOTE)
    assert await duty.run_once() == 0
    await kept.choose(account_id, OwnDays(media_days=39, content_days=39), note=NOTE)
    assert await duty.run_once() == 1

    entries = await world.sql("SELECT action, subject_id, details FROM audit ORDER BY number")
    assert [entry["action"] for entry in entries] == ["account.retention"] * 3
    assert entries[2]["details"] == {"media_days": 39, "content_days": 39}


@pytest.mark.parametrize("kind", Kept)
async def test_an_unfinished_job_is_left_alone_however_old(world: World, kind: Kept) -> None:
    await world.submitted()
    stored = await world.check(await world.claim())
    await world.sql("UPDATE jobs SET created_at = created_at - interval '9999 days'")

    assert await forgetting(kind, world.pool).run_once() == 0

    assert stored is not None
    await world.complete(stored)
    assert (await world.job()).status is Status.COMPLETED


@pytest.mark.parametrize("kind", Kept)
async def test_a_job_whose_refund_is_under_way_is_left_alone(world: World, kind: Kept) -> None:
    job = await ended(world, days_ago=DAYS + 1)
    await world.sql(
        "INSERT INTO refunds (refund_id, job_id, amount_micros, actor, reason, due_at)"
        f" VALUES ('r', '{job.id}', 1, 'a', 'b', now())"
    )

    assert await forgetting(kind, world.pool).run_once() == 0

    await world.sql("UPDATE refunds SET applied_at = now()")
    assert await forgetting(kind, world.pool).run_once() == 1


async def test_media_are_noted_as_deleted_only_when_they_are(world: World) -> None:
    job = await ended(world, days_ago=DAYS + 1)
    deleted: list[str] = []

    assert await forgetting(Kept.MEDIA, world.pool, broken=[job.id]).run_once() == 0
    assert await forgetting(Kept.MEDIA, world.pool, deleted=deleted).run_once() == 1
    assert await forgetting(Kept.MEDIA, world.pool, deleted=deleted).run_once() == 0

    assert deleted == [job.id]


async def test_one_job_that_cannot_be_changed_keeps_no_other_from_it(jobs_pool: Pool) -> None:
    await _fill(jobs_pool, accounts=1, count=JOBS_OF_EACH_MAX, age=DAYS + 1)
    async with jobs_pool.connection() as connection:
        await connection.execute(
            b"ALTER TABLE jobs ADD CONSTRAINT planted CHECK (id NOT LIKE '%3' OR content_deleted_at IS NULL)"
        )

    assert await forgetting(Kept.CONTENT, jobs_pool).run_once() == JOBS_OF_EACH_MAX - 1


async def test_accounts_take_turns_and_all_are_reached(jobs_pool: Pool) -> None:
    accounts = ACCOUNTS_MAX + 5
    await _fill(jobs_pool, accounts=1, count=200, age=DAYS + 1)
    await _fill(jobs_pool, accounts=accounts, count=accounts, first=1_001, age=DAYS + 1)
    deleted: list[str] = []
    duty = forgetting(Kept.MEDIA, jobs_pool, deleted=deleted)

    rounds = [await duty.run_once() for _ in range(2)]

    assert rounds == [ACCOUNTS_MAX - 1 + JOBS_OF_EACH_MAX, 5]
    while await duty.run_once():
        pass
    assert len(deleted) == len(set(deleted)) == 200 + accounts


async def test_only_what_is_old_is_read(jobs_pool: Pool) -> None:
    await _fill(jobs_pool, accounts=7, count=6_000, age=1)
    async with jobs_pool.connection() as connection:
        await connection.execute(REFUNDS.encode())
    for kind, index in ((Kept.CONTENT, "jobs_content_kept"), (Kept.MEDIA, "jobs_media_kept")):
        assert await plans(jobs_pool, ACCOUNTS[kind], after="", most=50) == ({index}, {index})
        bound: dict[str, Any] = {"account_ids": ["acct_0001"], "days": [DAYS], "each_max": 10}
        fresh, known = await plans(jobs_pool, AGED[kind], **bound)
        assert index in fresh & known


def test_days_are_set_for_all_and_for_some() -> None:
    given = {
        "database_url": "x", "billing_target": "a:1", "webhooks_target": "a:1", "media_store_url": "x",
        "media_base_url": "x", "simulator_base_url": "http://a:1", "simulator_api_key": "x",
        "key_checksum_secrets": "x" * 64, "live_provider": "simulator",
    }  # fmt: skip
    settings = JobsSettings.model_validate(
        {**given, "media_days": "30", "kept_days_by_account": '{"acct_1": {"media_days": 0}}'}
    )

    assert [settings.media_days_of(account) for account in ("acct_1", "acct_2")] == [0, 30]
    assert [settings.content_days_of(account) for account in ("acct_1", "acct_2")] == [365, 365]
    for wrong in ("{", "[]", '{"acct_1": {"media": 1}}', '{"acct_1": {"media_days": -1}}'):
        with pytest.raises(ValidationError):
            JobsSettings.model_validate({**given, "kept_days_by_account": wrong})


async def _fill(pool: Pool, *, accounts: int, count: int, age: int, first: int = 1) -> None:
    statement = MANY_JOBS.format(accounts=accounts, first=first, last=first + count - 1, age=age)
    async with pool.connection() as connection:
        await connection.execute(statement.encode())
