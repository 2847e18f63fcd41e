"""Recording reads the heads that it is about, whatever the connection's plans were made for."""

from collections.abc import Sequence

import psycopg
import pytest
from psycopg.rows import DictRow

from services.webhooks.domain import Delivery
from services.webhooks.settings import WebhooksSettings
from services.webhooks.store.deliveries import _RECORD, _record_parameters
from tests.integration.webhooks.dispatching import Bench, answered, open_bench
from tests.integration.webhooks.service import Database, event

RECORDS_UNTIL_PLANS_ARE_KEPT = 10
BATCH = 16
BACKLOG = 10_000
READS_EACH_MAX = 10
"""Each head is found a few times, and those that moved have left a former version behind."""
READS = """
    SELECT CAST(sum(pg_stat_get_xact_tuples_returned(oid)) AS integer) AS count FROM pg_class
    WHERE oid = 'heads'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'heads'::regclass)
"""
HEADS = """
    INSERT INTO heads (job_id, target_id, next_sequence, lane_id)
    SELECT 'b' || n, 'callback', 1, 'acct_b https://' || n %% 100 || '.example.com' FROM generate_series(1, %s) AS n
"""

Connection = psycopg.AsyncConnection[DictRow]


async def _claim(bench: Bench, name: str) -> list[Delivery]:
    await bench.accept(
        *(event(f"{name}-{n}", target_url=f"https://{n}.example.com/hook") for n in range(BATCH))
    )
    claimed = await bench.claim()
    assert len(claimed) == BATCH
    return claimed


async def _record(connection: Connection, claimed: Sequence[Delivery], *, status: int) -> int:
    """Records what all receivers answered, and returns how many versions of heads that read."""
    verdicts = [answered(delivery, status) for delivery in claimed]
    async with connection.transaction():
        before = await _reads(connection)
        cursor = await connection.execute(_RECORD.sql, _record_parameters(verdicts))
        assert len(await cursor.fetchall()) == len(claimed)
        return await _reads(connection) - before


async def _reads(connection: Connection) -> int:
    [row] = await (await connection.execute(READS)).fetchall()
    return int(row["count"])


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("few", [0, 10, 100, 1_000])
async def test_a_record_reads_no_more_beside_a_backlog_than_a_plan_for_few_heads_expects(
    settings: WebhooksSettings, database: Database, few: int, status: int
) -> None:
    # Nothing but this test lets plans be made anew.
    await database.rows("ALTER TABLE heads SET (autovacuum_enabled = false)")
    async with open_bench(settings) as bench, database.connection() as connection:
        await connection.execute(HEADS, (few,))
        for number in range(RECORDS_UNTIL_PLANS_ARE_KEPT):
            await _record(connection, await _claim(bench, f"vid_{number}"), status=status)
        await connection.execute(HEADS.replace("'b'", "'c'"), (BACKLOG,))
        reads = await _record(connection, await _claim(bench, "vid_last"), status=status)

    assert reads <= READS_EACH_MAX * BATCH
