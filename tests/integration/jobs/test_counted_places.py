"""What is kept about places is what `work` says, at every commit, whoever changed it and however."""

import asyncio
import random  # noqa: TID251 - seeded: every run has the same history
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest
from psycopg.errors import OperationalError

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.errors import ServiceError
from services.common.postgres.database import Pool, open_pool
from services.common.postgres.migrate import migrate
from services.jobs.domain.claims import Claim, LeaseLostError
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.requests import Caps
from services.jobs.domain.states import State, Status
from services.jobs.store.admission.creation import CREATE, creation_values
from services.jobs.store.admission.waiting import SqlWaiting, deciding
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.queue.controls import SqlControls
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.repairs import SqlRepairs
from tests.conftest import cluster
from tests.integration.jobs.test_migrations import migrate_to
from tests.integration.jobs.test_places import a_job
from tests.integration.jobs.test_work_store import OUTPUT, ROUTE
from tests.patience import PATIENCE_SECONDS

CAPS = Caps(account_jobs=6, key_jobs=4)
NOTE = AuditNote(actor="tests", reason="places")
LEASE_SECONDS = 600.0
CHANGES_MAX = 16
"""So many of an account are folded when it takes a place."""
ROOMY = Caps(account_jobs=100_000, key_jobs=100_000)
PLACE = """
    INSERT INTO work (job_id, state, account_id, environment, key_id)
    SELECT 'placed_' || number, state, account_id, environment, key_id
    FROM (SELECT * FROM work LIMIT 1) AS one CROSS JOIN generate_series(1, 10000) AS number
"""
PLACE_OF_BEFORE = """
    INSERT INTO work (job_id, state, account_id, environment, key_id, admitted_at)
    SELECT 'vid_' || number, 'pending', 'acct_' || (number %% 3), 'live', 'key_' || (number %% 7),
        CASE WHEN number %% 2 = 0 THEN now() END
    FROM generate_series(CAST(%(low)s AS integer), CAST(%(high)s AS integer)) AS number
"""
LET_IN_OF_BEFORE = "UPDATE work SET admitted_at = now(), due_at = now() WHERE job_id = %(job_id)s"
ROWS_READ = """
    SELECT CAST(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) AS bigint) AS read
    FROM pg_stat_xact_user_tables
"""
KILL_ONE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' LIMIT 1
"""
END_OTHERS = f"""
    SELECT pg_terminate_backend(pid, {int(PATIENCE_SECONDS * 1000)}) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
LOST = (LeaseLostError, ServiceError)
"""What a move is answered whose job another one has taken."""
ROWS = "SELECT account_id, environment, key_id, admitted_at IS NOT NULL AS placed, state = 'pending' AS pending FROM work"
KEPT = """
    SELECT account_id, environment, key_id, placed, waiting FROM places
    UNION ALL SELECT account_id, environment, key_id, placed, waiting FROM place_changes
    UNION ALL SELECT account_id, environment, '', placed, waiting FROM place_changes WHERE key_id <> ''
"""
Counts = Counter[tuple[str, str, str, str]]


async def counts(pool: Pool) -> tuple[Counts, Counts]:
    """Returns what `work` says and what is kept about it, at one moment."""
    of_work, kept = Counts(), Counts()
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for row in await (await connection.execute(ROWS.encode())).fetchall():
            for key in {row["key_id"], ""}:
                if row["placed"] or row["pending"]:
                    what = "placed" if row["placed"] else "waiting"
                    of_work[row["account_id"], row["environment"], key, what] += 1
        for row in await (await connection.execute(KEPT.encode())).fetchall():
            for what in ("placed", "waiting"):
                kept[row["account_id"], row["environment"], row["key_id"], what] += row[what]
    return of_work, Counts({key: count for key, count in kept.items() if count})


async def assert_counted(pool: Pool) -> None:
    of_work, kept = await counts(pool)
    assert kept == of_work


@dataclass
class Histories:
    """Moves of jobs, each by chance, as all parts of the service make them."""

    pool: Pool
    chance: random.Random
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000_000)))
    claims: dict[str, Claim] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.waiting = SqlWaiting(self.pool)
        self.jobs = SqlJobs(self.pool, waiting=self.waiting)
        self.work = SqlWork(self.pool, waiting=self.waiting)
        self.moves: tuple[Callable[[], Awaitable[object]], ...] = (
            self.create, self.create, self.create, self.claim, self.claim, self.get_on, self.get_on, self.get_on,
            self.drop, self.give_up, self.finish, self.finish, self.withdraw, self.fail, self.recheck,
            self.waiting.admit, self.settle, self.lose_and_settle, self.by_hand,
        )  # fmt: skip

    async def move(self) -> None:
        with suppress(*LOST):
            await self.chance.choice(self.moves)()

    async def create(self) -> None:
        owner = {"account": f"acct_{self.chance.randrange(2)}", "key": f"key_{self.chance.randrange(3)}"}
        batch = [a_job(next(self.numbers), **owner) for _ in range(self.chance.choice((1, 1, 5)))]
        await asyncio.gather(*(self.jobs.create(job, caps=CAPS) for job in batch), return_exceptions=True)

    async def claim(self) -> None:
        await self.sql("UPDATE work SET due_at = least(due_at, now()) WHERE due_at < 'infinity'")
        claims = await self.work.claim(limit=self.chance.randrange(1, 4), lease_seconds=LEASE_SECONDS)
        self.claims |= {claim.job.id: claim for claim in claims}

    async def get_on(self) -> None:
        claim = self._any()
        if claim.state is State.PENDING:
            self.claims[claim.job.id] = await self.work.open_attempt(
                claim, candidates=(ROUTE,), token=f"token-{claim.job.id}-{claim.lease_no}"
            )
        elif claim.state is State.SUBMITTING:
            await self.work.adopt_task(claim, task_id=f"task-{claim.job.id}", seconds=0, event=None)
            del self.claims[claim.job.id]
        elif claim.state is State.PROCESSING:
            self.claims[claim.job.id] = await self.work.keep_output(
                claim, OUTPUT, started_at=utc_now(), event=None
            )

    async def drop(self) -> None:
        claim = self._any(State.SUBMITTING)
        await self.work.drop_attempt(claim, outcome="busy", detail="", seconds=0)

    async def give_up(self) -> None:
        claim = self._any(State.PENDING, State.SUBMITTING, State.PROCESSING)
        self.claims[claim.job.id] = await self.work.give_up(claim, failure=FailureCode.TIMEOUT, detail="")

    async def finish(self) -> None:
        claim = self._any(State.STORED, State.FAILING)
        is_stored, reserved = claim.state is State.STORED, claim.job.reserved_micros
        ended = replace(
            claim.job,
            status=Status.COMPLETED if is_stored else Status.FAILED,
            charged_micros=reserved if is_stored else 0,
            refunded_micros=0 if is_stored else reserved,
            ended_at=utc_now(),
        )
        await self.work.finish(claim, ended, event=None)
        del self.claims[claim.job.id]

    async def withdraw(self) -> None:
        job_id = await self._unfinished()
        withdrawals = SqlWithdrawals(self.pool)
        claim = await withdrawals.withdraw(job_id, failure=FailureCode.CANCELLED, lease_seconds=LEASE_SECONDS)
        if claim is not None:
            self.claims[job_id] = claim

    async def fail(self) -> None:
        await SqlControls(self.pool).fail(
            await self._unfinished(), failure=FailureCode.GENERATION_FAILED, note=NOTE
        )

    async def recheck(self) -> None:
        await SqlControls(self.pool).recheck(await self._unfinished(), note=NOTE)

    async def settle(self, job_id: str | None = None) -> None:
        await SqlRepairs(self.pool).give_up(
            job_id or await self._unfinished(), failure=FailureCode.TIMEOUT, action="job.settle", note=NOTE
        )

    async def lose_and_settle(self) -> None:
        """Has the work row of a job go, as only a mistake can, and be made again."""
        job_id = await self._unfinished()
        await self.sql(f"DELETE FROM work WHERE job_id = '{job_id}'")
        await self.settle(job_id)

    async def by_hand(self) -> None:
        """Changes `work` as no statement of the service does."""
        job_id = await self._unfinished()
        change = self.chance.choice(
            (
                "key_id = 'key_9'",
                "admitted_at = NULL, due_at = 'infinity'",
                "admitted_at = now(), due_at = now()",
            )
        )
        await self.sql(f"UPDATE work SET {change} WHERE job_id = '{job_id}'")

    async def sql(self, statement: str) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(statement.encode())

    def _any(self, *states: State) -> Claim:
        found = sorted(job_id for job_id, claim in self.claims.items() if not states or claim.state in states)
        if not found:
            raise LeaseLostError("none")
        return self.claims[self.chance.choice(found)]

    async def _unfinished(self) -> str:
        async with self.pool.connection() as connection:
            rows = await (await connection.execute(b"SELECT job_id FROM work ORDER BY job_id")).fetchall()
        if not rows:
            raise LeaseLostError("none")
        return str(self.chance.choice(rows)["job_id"])


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_kept_is_what_work_says_after_every_move(jobs_pool: Pool, seed: int) -> None:
    history = Histories(jobs_pool, random.Random(seed))
    folded = False

    for _ in range(400):
        await history.move()
        of_work, kept = await counts(jobs_pool)
        assert kept == of_work
        folded = folded or await _has_rows(jobs_pool, "places")

    assert folded
    await history.sql("TRUNCATE work")
    await assert_counted(jobs_pool)


async def test_it_is_so_at_every_moment_of_processes_that_are_killed(jobs_pool: Pool) -> None:
    histories = [
        Histories(jobs_pool, random.Random(seed), numbers=iter(range(seed * 1_000 + 1, seed * 1_000 + 1_000)))
        for seed in range(4)
    ]
    at_work = len(histories)

    async def live(history: Histories) -> None:
        nonlocal at_work
        for _ in range(120):
            with suppress(OperationalError):
                await history.move()
        at_work -= 1

    async def look_and_kill() -> None:
        while at_work:
            with suppress(OperationalError):
                of_work, kept = await counts(jobs_pool)
                assert kept == of_work
                assert not [each for each, count in kept.items() if count < 0]
                await histories[0].sql(KILL_ONE)

    async with asyncio.TaskGroup() as group:
        for history in histories:
            group.create_task(live(history))
        group.create_task(look_and_kill())

    await assert_counted(jobs_pool)
    assert await deadlocks(jobs_pool) == 0


async def deadlocks(pool: Pool) -> int:
    """Returns how many there were. Ends all other connections: what one of them counted is known when it is gone."""
    async with pool.connection() as connection:
        await connection.execute(END_OTHERS.encode())
        [found] = await (await connection.execute(DEADLOCKS.encode())).fetchall()
    return int(found["deadlocks"])


async def test_creations_and_ends_at_once_keep_to_the_cap_and_nobody_waits_beside_a_free_place(
    jobs_pool: Pool,
) -> None:
    caps, waiting = Caps(account_jobs=5, key_jobs=3), SqlWaiting(jobs_pool)
    apis, work = [SqlJobs(jobs_pool) for _ in range(2)], SqlWork(jobs_pool, waiting=waiting)
    left = 60

    async def create(api: SqlJobs, numbers: range) -> None:
        for number in numbers:
            await api.create(a_job(number, key=f"key_{number % 2}"), caps=caps)

    async def end() -> None:
        nonlocal left
        while left:
            of_work, kept = await counts(jobs_pool)
            assert kept == of_work
            assert kept["acct_1", "live", "", "placed"] <= caps.account_jobs
            assert max(kept["acct_1", "live", f"key_{key}", "placed"] for key in range(2)) <= caps.key_jobs
            for claim in await work.claim(limit=2, lease_seconds=LEASE_SECONDS):
                failing = await work.give_up(claim, failure=FailureCode.TIMEOUT, detail="")
                refunded = failing.job.reserved_micros
                ended = replace(
                    failing.job, status=Status.FAILED, refunded_micros=refunded, ended_at=utc_now()
                )
                await work.finish(failing, ended, event=None)
                left -= 1
            await waiting.admit()

    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(create(apis[0], range(1, 31)))
        group.create_task(create(apis[1], range(31, 61)))
        for _ in range(3):
            group.create_task(end())

    of_work, kept = await counts(jobs_pool)
    assert not of_work
    assert not kept


async def test_ten_thousand_placed_jobs_are_not_read_by_a_creation(jobs_pool: Pool) -> None:
    await SqlJobs(jobs_pool).create(a_job(1), caps=ROOMY)
    few = await rows_read_by_creation(jobs_pool, 2)
    async with jobs_pool.connection() as connection:
        await connection.execute(PLACE.encode())

    many = await rows_read_by_creation(jobs_pool, 3)

    assert few > 0
    assert many <= few + CHANGES_MAX


async def rows_read_by_creation(pool: Pool, number: int) -> int:
    """Creates a job, and returns how many rows its statement fetched by an index or a scan."""
    job = a_job(number)
    async with pool.connection() as connection:
        async with deciding(connection, [(job.owner.account_id, job.owner.environment)]):
            await connection.execute(CREATE.sql, CREATE.bind(**creation_values([(job, ROOMY)])))
            cursor = await connection.execute(ROWS_READ.encode())
        [row] = await cursor.fetchall()
    return int(row["read"])


async def test_giving_a_place_back_waits_for_nobody_who_takes_one(jobs_pool: Pool) -> None:
    history = Histories(jobs_pool, random.Random(0))
    for number in range(1, CHANGES_MAX):
        await history.jobs.create(a_job(number), caps=ROOMY)
    await history.claim()
    await history.give_up()
    values = CREATE.bind(**creation_values([(a_job(CHANGES_MAX), ROOMY)]))

    async with asyncio.timeout(PATIENCE_SECONDS), jobs_pool.connection() as taking, taking.transaction():
        await taking.execute(CREATE.sql, values)
        folded = await (await taking.execute(b"SELECT placed FROM places WHERE key_id = ''")).fetchall()
        await history.finish()

    assert folded == [{"placed": CHANGES_MAX}]
    await assert_counted(jobs_pool)


async def test_jobs_of_the_release_before_are_counted_and_what_it_does_meanwhile(postgres_port: int) -> None:
    cluster(postgres_port).ensure_database("places_of_two_releases")
    url = cluster(postgres_port).url("places_of_two_releases")
    migrate_to(url, "0013")
    migrating = asyncio.Event()

    async with open_pool(url, name="before", connections_max=4) as pool:
        async with pool.connection() as connection:
            await connection.execute(PLACE_OF_BEFORE.encode(), {"low": 1, "high": 2_000})

        async def go_on(first: int) -> None:
            number = first
            while not migrating.is_set():
                async with pool.connection() as connection:
                    await connection.execute(PLACE_OF_BEFORE.encode(), {"low": number, "high": number + 2})
                    await connection.execute(
                        b"DELETE FROM work WHERE job_id = %s", (f"vid_{number % 1_999 + 1}",)
                    )
                    await connection.execute(LET_IN_OF_BEFORE.encode(), {"job_id": f"vid_{number + 1}"})
                number += 3

        async with asyncio.TaskGroup() as group:
            for first in (10_000, 20_000):
                group.create_task(go_on(first))
            await asyncio.to_thread(migrate, url, service="jobs")
            await assert_counted(pool)
            migrating.set()

        await assert_counted(pool)


async def _has_rows(pool: Pool, table: str) -> bool:
    async with pool.connection() as connection:
        cursor = await connection.execute(f"SELECT FROM {table} LIMIT 1".encode())
        return cursor.rowcount > 0
