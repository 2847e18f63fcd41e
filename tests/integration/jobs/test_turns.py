"""In every claim accounts take turns, and results are fetched on room of their own."""

import asyncio
import json
from typing import Any

import pytest

from services.common.postgres.database import Pool
from services.jobs.domain.claims import Claim
from services.jobs.domain.job import Job, Output
from services.jobs.domain.requests import Owner
from services.jobs.domain.states import State
from services.jobs.duties.walk_jobs import Walker
from services.jobs.lanes import CAPACITY, SHARE, Lane, Lanes
from services.jobs.ports import HeadersFor
from services.jobs.store.queue.turns import CLAIM, TURNS_MAX, WINDOW, Turns
from services.jobs.store.queue.work import SqlWork
from tests.fakes.upstream import ScriptedMedia
from tests.integration.jobs.world import DONE, World
from tests.patience import PATIENCE_SECONDS

POLL_SECONDS = 0.02
BUSY = ("acct_busy", "live")
OTHER = ("acct_other", "live")


async def due_jobs(
    pool: Pool, owner: tuple[str, str], count: int, *, seconds: int, state: str = "pending"
) -> None:
    """Stores jobs of an account that have been due for so long."""
    async with pool.connection() as connection:
        await connection.execute(
            """
            WITH made AS (
                INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version,
                    micros_per_second, reserved_micros, created_at)
                SELECT 'vid_' || %(account)s || %(environment)s || number, %(account)s, %(environment)s,
                    'seedancee2', 'pending', 'mini', %(input)s, '1', 10000000, 50000000, now()
                FROM generate_series(1, %(count)s) AS number
                RETURNING id
            )
            INSERT INTO work (job_id, state, account_id, environment, due_at)
            SELECT id, %(state)s, %(account)s, %(environment)s, now() - make_interval(secs => %(seconds)s) FROM made
            """,
            {
                "account": owner[0], "environment": owner[1], "count": count, "seconds": seconds, "state": state,
                "input": json.dumps({
                    "prompt": "waves", "duration_seconds": 5, "resolution": "720p", "aspect_ratio": "16:9",
                    "generate_audio": False, "watermark": False, "return_last_frame": False, "seed": 7,
                }),
            },
        )  # fmt: skip


def owners(claims: list[Claim]) -> list[tuple[str, str]]:
    return [(claim.job.owner.account_id, claim.job.owner.environment) for claim in claims]


async def test_an_account_with_ten_thousand_due_jobs_delays_nobody_elses_first(jobs_pool: Pool) -> None:
    await due_jobs(jobs_pool, BUSY, 10_000, seconds=600)
    await due_jobs(jobs_pool, OTHER, 1, seconds=1)
    work = SqlWork(jobs_pool)

    claims = await work.claim(limit=50, lease_seconds=60, share_max=SHARE[Lane.WALK])

    assert owners(claims).count(OTHER) == 1
    assert owners(claims).count(BUSY) == 49


async def test_accounts_take_turns_and_live_goes_before_test(jobs_pool: Pool) -> None:
    for account in ("a", "b"):
        await due_jobs(jobs_pool, (account, "test"), 10, seconds=600)
        await due_jobs(jobs_pool, (account, "live"), 10, seconds=60)

    claims = await SqlWork(jobs_pool).claim(limit=6, lease_seconds=60)

    assert sorted(owners(claims)) == sorted(
        [("a", "live"), ("b", "live"), ("a", "test"), ("b", "test"), ("a", "live"), ("b", "live")]
    )


async def test_what_an_account_has_under_way_counts_for_its_share(jobs_pool: Pool) -> None:
    await due_jobs(jobs_pool, BUSY, 20, seconds=600)
    await due_jobs(jobs_pool, OTHER, 20, seconds=1)
    busy = {Owner(account_id=BUSY[0], environment=BUSY[1], contract="seedancee2"): 8}

    claims = await SqlWork(jobs_pool).claim(limit=50, lease_seconds=60, busy=busy, share_max=10)

    assert (owners(claims).count(BUSY), owners(claims).count(OTHER)) == (2, 10)


async def test_behind_a_full_window_every_account_is_found_in_its_turn(jobs_pool: Pool) -> None:
    await due_jobs(jobs_pool, BUSY, WINDOW, seconds=600)
    wanted = {(f"x{number:04d}", "live") for number in range(2 * TURNS_MAX)}
    for owner in wanted:
        await due_jobs(jobs_pool, owner, 1, seconds=1)
    work = SqlWork(jobs_pool)

    found: set[tuple[str, str]] = set()
    for _ in range(8):
        found |= set(owners(await work.claim(limit=50, lease_seconds=60, share_max=1)))

    assert len(found - {BUSY}) > TURNS_MAX, "the seeking goes on where it ended"


async def test_a_claim_reads_a_bounded_number_of_rows_however_many_are_due(jobs_pool: Pool) -> None:
    await due_jobs(jobs_pool, BUSY, 20_000, seconds=600)
    await due_jobs(jobs_pool, OTHER, 10_000, seconds=1)
    async with jobs_pool.connection() as connection:
        await connection.execute(b"ANALYZE work")
        await connection.execute(b"ANALYZE jobs")
        bound = Turns().bound(
            fetching=False, busy={}, share_max=50, most=50, lease_seconds=60, claims_max=5, aside_seconds=60
        )
        explained = await connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + CLAIM.sql, bound)
        [row] = await explained.fetchall()

    read = sum(rows_read(plan) for plan in row["QUERY PLAN"][0:1])
    assert 0 < read < 20 * WINDOW


def rows_read(node: dict[str, Any]) -> int:
    """Returns how many rows the scans of tables beneath a plan looked at."""
    plan = node.get("Plan", node)
    own = 0
    if "Relation Name" in plan:
        own = plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))
    return int(own) + sum(map(rows_read, plan.get("Plans", [])))


class Held(ScriptedMedia):
    """Results that do not come, except those of one account."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Job] = []

    async def keep(self, job: Job, *, source_url: str, headers_for: HeadersFor, secret: str) -> Output:
        self.asked.append(job)
        if job.owner.account_id == BUSY[0]:
            await asyncio.get_running_loop().create_future()
        return await super().keep(job, source_url=source_url, headers_for=headers_for, secret=secret)


@pytest.fixture
def world(jobs_pool: Pool) -> World:
    made = World(pool=jobs_pool, work=SqlWork(jobs_pool), media=Held())
    made.name_token = lambda claim: f"{claim.job.id}-{claim.lease_no}"
    made.provider.answers = [DONE]
    return made


async def test_slow_results_of_one_account_hold_no_walk_and_not_all_fetches(world: World) -> None:
    await due_jobs(world.pool, BUSY, CAPACITY[Lane.WALK], seconds=600)
    await hold_all(world)
    walker = walker_of(world)

    for _ in range(6):
        await step(world, walker)
    await due_jobs(world.pool, OTHER, 1, seconds=0)
    await hold_all(world)
    for _ in range(3):
        await step(world, walker)

    media = world.media
    assert isinstance(media, Held)
    assert [job.owner.account_id for job in media.asked].count(BUSY[0]) == SHARE[Lane.FETCH]
    await until_completed(world, OTHER[0])
    waiting = await world.sql("SELECT count(*) AS jobs FROM work WHERE awaits_fetch")
    assert waiting == [{"jobs": CAPACITY[Lane.WALK] - SHARE[Lane.FETCH]}]
    for task in list(walker._walks):
        task.cancel()
    await walker.drain()


async def until_completed(world: World, account_id: str) -> None:
    for _ in range(int(PATIENCE_SECONDS / POLL_SECONDS)):
        rows = await world.sql(f"SELECT status FROM jobs WHERE account_id = '{account_id}'")
        if {row["status"] for row in rows} == {"completed"}:
            return
        await asyncio.sleep(POLL_SECONDS)
    raise AssertionError(f"the jobs of {account_id} do not complete")


async def step(world: World, walker: Walker) -> None:
    """Claims whatever is there in both lanes, due or not, and lets walks go until they end or wait for a result."""
    await world.sql("UPDATE work SET due_at = now() WHERE lease_until <= now()")
    for lane in (Lane.FETCH, Lane.WALK):
        await walker.claim_once(lane)
    for _ in range(400):
        if all(lane is Lane.FETCH for lane, _ in walker._lanes._lane_of.values()):
            break
        await asyncio.sleep(0.01)


async def hold_all(world: World) -> None:
    for row in await world.sql("SELECT id, account_id, environment FROM jobs"):
        owner = Owner(account_id=row["account_id"], environment=row["environment"], contract="seedancee2")
        await world.ledger.hold(row["id"], owner=owner, key_id="k", amount_micros=50_000_000)


def walker_of(world: World) -> Walker:
    lanes = Lanes()
    world.may_fetch = lanes.may_fetch
    return Walker(
        work=world.work,
        lanes=lanes,
        submit=world.submit,
        steps={
            State.PENDING: world.begin,
            State.SUBMITTING: world.recover,
            State.PROCESSING: world.check,
            State.STORED: world.complete,
            State.FAILING: world.refund,
        },
    )
