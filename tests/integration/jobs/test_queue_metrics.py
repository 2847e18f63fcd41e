"""What is due counts for the age of a queue; what waits for a place, a provider or its next try does not."""

import pytest

from services.common.postgres.database import Pool
from services.common.telemetry.readings import reading
from services.jobs.domain.states import State
from services.jobs.store.readings import READINGS
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.test_api_queries import plans
from tests.integration.jobs.world import World, open_world
from tests.metric_values import value

HOURS_AGO = "now() - interval '3 hours'"
EVENTS = """
    INSERT INTO outbox (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body,
        occurred_at, due_at, refusal)
    SELECT 'evt_' || job || sequence, 'vid_' || job, 'acct_1', 'live', 'seedancee2', 'x', sequence, '', '', now(),
        now() + due, refusal
    FROM (VALUES
        (1, 1, interval '1 hour', 'no'),
        (1, 2, interval '-5 hours', NULL),
        (2, 1, interval '-2 hours', NULL)
    ) AS told (job, sequence, due, refusal)
"""
FILL = """
    INSERT INTO work (job_id, state, due_at, awaits_fetch)
    SELECT id, 'processing', now() + n * interval '1 s', n % 7 = 0
    FROM (SELECT id, row_number() OVER () - 3000 AS n FROM jobs) AS numbered;
    INSERT INTO outbox (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body,
        occurred_at, due_at)
    SELECT 'evt_' || n, 'vid_' || n, 'acct_1', 'live', 'seedancee2', 'x', 1, '', '', now(), now() + n * interval '1 s'
    FROM generate_series(-3000, 3000) AS n;
    INSERT INTO refunds (refund_id, job_id, amount_micros, actor, reason, due_at, applied_at)
    SELECT id, id, 1, 'ada', 'x', now(), now() FROM jobs;
    INSERT INTO strays (attempt_id, job_id, environment, route, task_id, reason, price_micros, outcome)
    SELECT id, id, 'live', 'ark', 'x', 'x', 1, 'stopped' FROM jobs;
"""
JOBS = """
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version,
        micros_per_second, reserved_micros, created_at)
    SELECT 'vid_' || lpad(n::text, 26, '0'), 'acct_' || (n % 300), 'live', 'seedancee2', 'pending', 'mini', '{}',
        '1', 1, 1, now()
    FROM generate_series(1, 6000) AS n
"""


@pytest.fixture
async def world(jobs_pool: Pool) -> World:
    return await open_world(jobs_pool, a_job())


async def _read(pool: Pool) -> None:
    await reading(pool, READINGS, service="jobs").run_once()


def _oldest(queue: str) -> float:
    return value("reelgate_queue_oldest_seconds", queue=queue)


def _jobs() -> dict[str, float]:
    states = {state: value("reelgate_jobs", state=state) for state in (*State, "waiting")}
    return {state: count for state, count in states.items() if count}


@pytest.mark.parametrize(("queue", "awaits_fetch"), [("work", "false"), ("fetch", "true")])
async def test_a_job_that_is_due_ages_its_queue_until_it_is_taken(
    world: World, queue: str, awaits_fetch: str
) -> None:
    await world.sql(f"UPDATE work SET awaits_fetch = {awaits_fetch}, due_at = {HOURS_AGO}")

    await _read(world.pool)
    assert 10_800 <= _oldest(queue) < 10_800 + 600
    assert value("reelgate_queue_rows", queue=queue) == 1

    # Who has it renews its lease, and it stays due.
    await world.sql("UPDATE work SET lease_until = now() + interval '15 s'")
    await _read(world.pool)
    assert _oldest(queue) == 0
    assert value("reelgate_queue_rows", queue=queue) == 0


async def test_a_job_that_waits_for_a_place_is_counted_and_does_not_age(world: World) -> None:
    await world.sql(
        "UPDATE work SET admitted_at = NULL, due_at = 'infinity', state_since = now() - interval '1 day'"
    )

    await _read(world.pool)

    assert _jobs() == {"waiting": 1}
    assert _oldest("work") == 0


async def test_a_job_that_waits_for_its_provider_is_counted_and_does_not_age(world: World) -> None:
    await world.submitted()

    await _read(world.pool)

    assert _jobs() == {"processing": 1}
    assert _oldest("work") == 0


async def test_events_age_unless_one_of_their_job_was_refused(world: World) -> None:
    await world.sql(EVENTS)

    await _read(world.pool)

    assert 7_200 <= _oldest("outbox") < 7_200 + 600
    assert value("reelgate_queue_rows", queue="outbox") == 1


async def test_refunds_and_stray_tasks_age(world: World) -> None:
    await world.sql(f"""
        INSERT INTO refunds (refund_id, job_id, amount_micros, actor, reason, due_at)
        SELECT 'ref_1', id, 1, 'ada', 'x', {HOURS_AGO} FROM jobs
    """)
    await world.sql(f"""
        INSERT INTO strays (attempt_id, job_id, environment, route, task_id, reason, price_micros, due_at)
        SELECT 'att_1', id, 'live', 'ark', 'x', 'x', 1, {HOURS_AGO} FROM jobs
    """)

    await _read(world.pool)
    assert 10_800 <= _oldest("refunds") < 10_800 + 600
    assert 10_800 <= _oldest("strays") < 10_800 + 600

    await world.sql("UPDATE refunds SET applied_at = now()")
    await world.sql("UPDATE strays SET outcome = 'stopped'")
    await _read(world.pool)
    assert (_oldest("refunds"), _oldest("strays")) == (0, 0)


async def test_the_version_of_the_schema_is_that_of_the_database(world: World) -> None:
    await _read(world.pool)

    [found] = await world.sql("SELECT CAST(max(version_num) AS int) AS number FROM alembic_version")
    assert value("reelgate_schema_version", service="jobs") == found["number"]


async def test_queues_are_read_from_ranges_of_indexes(jobs_pool: Pool) -> None:
    async with jobs_pool.connection() as connection:
        await connection.execute(JOBS.encode())
        await connection.execute(FILL.encode())

    _states, _credentials, *queues = READINGS
    for each in queues:
        for used in await plans(jobs_pool, each.query):
            assert used <= {
                "work_due_in_lane", "outbox_due", "outbox_of_job", "outbox_refused", "refunds_due", "strays_due",
            }, used  # fmt: skip


async def test_jobs_are_counted_among_the_unfinished_only_and_up_to_a_bound(jobs_pool: Pool) -> None:
    states, *_queues = READINGS
    async with jobs_pool.connection() as connection:
        await connection.execute(JOBS.encode())
        cursor = await connection.execute(b"EXPLAIN (FORMAT JSON) " + states.query.sql)
        row = await cursor.fetchone()

    assert row is not None
    plan = row["QUERY PLAN"][0]["Plan"]
    kinds = []
    while plan:
        kinds.append((plan["Node Type"], plan.get("Relation Name")))
        [plan] = plan.get("Plans", [None])
    assert kinds[-2:] == [("Limit", None), ("Seq Scan", "work")]
