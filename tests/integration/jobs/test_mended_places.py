"""What is kept about places is put right should it ever be wrong, whatever goes on meanwhile."""

import asyncio
import random  # noqa: TID251 - seeded: every run has the same history

import pytest

from services.common.postgres.database import Pool
from services.jobs.duties.keep_places import keep_places
from services.jobs.store.admission.recount import FOLDED_FROM, SqlPlaces
from tests.integration.jobs.test_counted_places import Histories, assert_counted, counts

WRONGS = {
    "too many of a key": "UPDATE places SET placed = placed + 3 WHERE key_id = 'key_1'",
    "too few of an account": "UPDATE places SET waiting = 0, placed = placed - 1 WHERE key_id = ''",
    "nothing is kept": "DELETE FROM places; DELETE FROM place_changes",
    "changes are lost": "DELETE FROM place_changes",
    "jobs go unseen": "DELETE FROM work WHERE job_id IN (SELECT job_id FROM work ORDER BY job_id LIMIT 3)",
    "jobs come unseen": (
        "INSERT INTO work (job_id, state, account_id, environment, key_id, admitted_at)"
        " VALUES ('vid_a', 'pending', 'acct_new', 'test', 'key_1', now()),"
        " ('vid_b', 'pending', 'acct_new', 'test', '', NULL), ('vid_c', 'failing', 'acct_new', 'test', '', NULL)"
    ),
}


@pytest.fixture
async def history(jobs_pool: Pool) -> Histories:
    made = Histories(jobs_pool, random.Random(7))
    for _ in range(150):
        await made.move()
    return made


async def unseen(history: Histories, wrong: str) -> None:
    """Changes tables without what guards them."""
    async with history.pool.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(wrong.encode())


@pytest.mark.parametrize("wrong", WRONGS)
async def test_it_is_put_right_once_beside_traffic_and_by_several_at_once(
    history: Histories, wrong: str
) -> None:
    await unseen(history, WRONGS[wrong])
    of_work, kept = await counts(history.pool)
    assert kept != of_work
    places = SqlPlaces(history.pool)

    async def go_on() -> None:
        for _ in range(20):
            await history.move()

    *found, _ = await asyncio.gather(places.mend(), places.mend(), places.mend(), go_on())

    await assert_counted(history.pool)
    assert [bool(miscounts) for miscounts in found].count(True) == 1
    assert await places.mend() == []
    [noted] = await audit_of(history.pool)
    assert noted == sum(len(miscounts) for miscounts in found)


async def audit_of(pool: Pool) -> list[int]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            b"SELECT count(*) AS entries FROM audit WHERE action = 'places.mend' AND details ? 'placed'"
        )
        return [row["entries"] for row in await cursor.fetchall()]


async def test_the_duty_folds_what_no_creation_folds_and_tells_what_was_wrong(
    history: Histories, caplog: pytest.LogCaptureFixture
) -> None:
    await history.sql("TRUNCATE work")
    insert = "INSERT INTO work (job_id, state, account_id) SELECT 'x' || n, 'pending', 'a' FROM generate_series(1, 40) n"
    await history.sql(insert)
    for number in range(1, 31):
        await history.sql(f"DELETE FROM work WHERE job_id = 'x{number}'")
    duty = keep_places(SqlPlaces(history.pool))

    await duty.run_once()
    quiet = caplog.text
    await unseen(history, "UPDATE places SET placed = 9 WHERE account_id = 'a'")
    await duty.run_once()

    await assert_counted(history.pool)
    assert "miscounted" not in quiet
    assert (
        "account=a environment= key= places were miscounted: placed +1, waiting +0 put right" in caplog.text
    )
    async with history.pool.connection() as connection:
        rows = await (await connection.execute(b"SELECT FROM place_changes")).fetchall()
    assert len(rows) < FOLDED_FROM
