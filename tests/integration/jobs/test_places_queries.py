"""What deciding about places costs: index ranges, however many jobs there are and wait."""

from dataclasses import replace

import pytest

from services.common.postgres.database import Pool
from services.jobs.domain.requests import Caps
from services.jobs.store.admission.creation import CREATE, creation_values
from services.jobs.store.admission.waiting import ADMIT, OVERDUE, OWNERS, admission_values
from services.jobs.store.partitions import these_ids
from services.jobs.store.queue.moves import FINISH
from services.jobs.store.queue.moving import items_to_json
from tests.integration.jobs.conftest import OWNER, a_job
from tests.integration.jobs.test_api_queries import plans

FILL = """
    INSERT INTO caps
    SELECT 'acct_' || n, 'live', key, 100 FROM generate_series(0, 299) AS n, (VALUES (''), ('key_0')) AS keys (key);
    INSERT INTO places SELECT account_id, environment, key_id, 0, 0 FROM caps;
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version,
        micros_per_second, reserved_micros, created_at)
    SELECT 'vid_' || lpad(n::text, 26, '0'), 'acct_' || (n % 300), 'live', 'seedancee2', 'pending', 'mini', '{}',
        '1', 1, 1, now()
    FROM generate_series(1, 6000) AS n;
    INSERT INTO work (job_id, state, account_id, environment, key_id, admitted_at, due_at)
    SELECT id, 'pending', account_id, 'live', 'key_0', placed, coalesce(placed + interval '1 h', 'infinity')
    FROM (SELECT jobs.*, CASE WHEN id < 'vid_00000000000000000000003000' THEN now() END AS placed FROM jobs) AS found;
"""
OWNED = [("acct_7", "live")]


@pytest.fixture
async def filled(jobs_pool: Pool) -> Pool:
    async with jobs_pool.connection() as connection:
        await connection.execute(FILL.encode())
    return jobs_pool


async def test_creating_reads_places_and_queues_by_index(filled: Pool) -> None:
    job = replace(a_job(9_000), owner=replace(OWNER, account_id="acct_7"), key_id="key_0")
    values = creation_values([(job, Caps(account_jobs=1, key_jobs=1))])

    for used in await plans(filled, CREATE, **values):
        assert {"places_pkey", "place_changes_pkey", "caps_pkey"} <= used
        assert not {"work_admitted", "work_waiting"} & used


async def test_letting_in_reads_by_index(filled: Pool) -> None:
    for used in await plans(filled, ADMIT, **admission_values(OWNED)):
        assert {"places_pkey", "place_changes_pkey", "work_waiting", "work_pkey", "caps_pkey"} <= used
        assert "work_admitted" not in used


async def test_ending_a_job_looks_for_who_waits_by_index(filled: Pool) -> None:
    ids = [a_job(number).id for number in range(1, 6)]
    items = items_to_json([{"job_id": job_id, "lease_no": 0} for job_id in ids])

    for used in await plans(filled, FINISH, items=items, **these_ids(ids)):
        assert {"work_waiting", "work_pkey", "jobs_pkey"} <= used


async def test_looking_for_who_waits_reads_by_index(filled: Pool) -> None:
    assert await plans(filled, OWNERS, account_id="", environment="", most=10) == (
        {"work_waiting"},
        {"work_waiting"},
    )
    for used in await plans(filled, OVERDUE, most=10, wait_seconds_max=3600.0):
        assert used == {"work_state_since"}
