"""What customers and workers ask opens one month, or the newest first, however many months there are."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from services.common.clock import utc_now
from services.common.ids import new_id
from services.common.postgres.database import Pool, Query
from services.jobs.domain.states import State
from services.jobs.store.jobs import GET, GET_ONE, NEWEST
from services.jobs.store.partitions import these_ids
from services.jobs.store.queue import called, controls, leases, moves, stages, withdrawals
from services.jobs.store.queue.moving import items_to_json
from services.jobs.store.queue.turns import CLAIM, Turns
from services.jobs.store.refunds import APPLY, LOCK_JOB
from services.jobs.store.repairs import _GIVE_UP, _WAIVE
from services.jobs.store.retention import _DELETE_CONTENT, _NOTE_MEDIA, AGED, Kept
from services.jobs.store.verification import _GET
from services.jobs.wiring.core import Core
from tests.integration.jobs.conftest import jobs_settings
from tests.integration.jobs.months import divide, run

MONTHS = 24
JOB_ID, ENDED_ID = new_id("vid", utc_now()), new_id("vid", utc_now())
THIS_MONTH = f"jobs_vid_{utc_now():%Y_%m}"
MONTHS_TO_COME = 4
PLANS = ("generic", "custom")
OWNED: dict[str, Any] = {"account_id": "acct_1", "environment": "live"}
# For each month and prefix a hundred jobs of two accounts.
FILL = """
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version, micros_per_second,
        reserved_micros, charged_micros, created_at, ended_at)
    SELECT prefix || '_' || ulid_at(moment) || lpad(n::text, 16, '0'), 'acct_' || n % 2, 'live', 'seedancee2', 'completed',
        'mini', '{}', '1', 1, 1, 1, moment, moment
    FROM generate_series(1, 2400) AS n, (VALUES ('vid'), ('job')) AS prefixes (prefix),
        LATERAL (SELECT now() - n * interval '7 hours') AS at (moment)
"""
OPEN_JOB = f"""
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version, micros_per_second,
        reserved_micros, created_at)
    VALUES ('{JOB_ID}', 'acct_1', 'live', 'seedancee2', 'processing', 'mini', '{{}}', '1', 1, 1, now());
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version, micros_per_second,
        reserved_micros, charged_micros, created_at, ended_at)
    VALUES ('{ENDED_ID}', 'acct_1', 'live', 'seedancee2', 'completed', 'mini', '{{}}', '1', 1, 1, 1, now(), now());
    INSERT INTO work (job_id, state) VALUES ('{JOB_ID}', 'processing');
    INSERT INTO attempts (id, job_id, number, route, upstream_model, token, lease_no)
        VALUES ('{JOB_ID}-1', '{JOB_ID}', 1, 'simulator', 'mini', 'token', 0);
    INSERT INTO refunds (refund_id, job_id, amount_micros, actor, reason, due_at) VALUES ('r', '{ENDED_ID}', 1, 'a', 'b', now());
"""
CLAIMED = Turns().bound(
    fetching=False, busy={}, share_max=50, most=50, lease_seconds=60, claims_max=5, aside_seconds=60
)
ITEM = {
    "job_id": JOB_ID,
    "lease_no": 0,
    "attempt_id": f"{JOB_ID}-1",
    "task_id": "cgt-1",
    "seconds": 1,
    "wake_no": 0,
    "started_at": utc_now(),
    "ended_at": utc_now(),
    "failure": "timeout",
    "may_run": True,
    "status": "completed",
    "charged": 1,
    "refunded": 0,
    "event_id": "evt_1",
    "event_type": "t",
    "event_sequence": 1,
    "event_body": "{}",
    "event_occurred_at": utc_now(),
}
MOVED: dict[str, Any] = {
    "items": items_to_json([ITEM]),
    **these_ids([JOB_ID]),
    "token": "token",
    "tokens": ["token"],
    "claimed_task_id": "cgt-2",
    "task_id": "cgt-2",
    "job_id": JOB_ID,
    "account_id": "acct_1",
    "action": "a",
    "actor": "a",
    "reason": "b",
    "failure": "timeout",
    "refund_id": "r",
    "lease_seconds": 60,
    "id": JOB_ID,
    "ids": [JOB_ID],
    "job_ids": [JOB_ID],
    "stages": [0],
    "age_seconds_min": 0,
    "stalled": False,
    "after_moment": "-infinity",
    "after_id": "",
    "most": 10,
    "fail_action": "a",
}
READS = {
    "get": GET,
    "get_one": GET_ONE,
    "moved": stages.MOVED,
    "unfinished": controls._UNFINISHED,
    "standing": controls._STANDING,
    "record": _GET,
    "called": called._FIND,
}
# These read the jobs that they have taken at the end, when nothing is locked any more.
TAKES = {"withdraw": withdrawals._WITHDRAW, "seize": withdrawals._STEAL_LEASE}
STRAYS = {
    "drop_attempt": moves.DROP_ATTEMPT,
    "note_stray": leases.NOTE_STRAY,
    "late_call": leases.LATE_CALL,
}
"""They open a month only if there is a stray."""
CHANGES = {
    "adopt_task": moves.ADOPT_TASK,
    "note_running": moves.NOTE_RUNNING,
    "keep_output": moves.KEEP_OUTPUT,
    "give_up": moves.GIVE_UP,
    "finish": moves.FINISH,
    "fail": controls._FAIL,
    "lock_job": LOCK_JOB,
    "apply_refund": APPLY,
    "repair": _GIVE_UP,
    "waive": _WAIVE,
    "delete_content": _DELETE_CONTENT,
    "note_media": _NOTE_MEDIA,
}
ONE_JOB = READS | TAKES | CHANGES
OF_ENDED = {"waive", "delete_content"}


@pytest.fixture
async def filled(jobs_pool: Pool) -> Pool:
    await divide(jobs_pool, months=MONTHS)
    for statement in (FILL, OPEN_JOB, "ANALYZE"):
        await run(jobs_pool, statement)
    return jobs_pool


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


async def executed(
    pool: Pool, query: Query, bound: dict[str, Any], *, plan: str, state: State = State.PROCESSING
) -> list[dict[str, Any]]:
    """Runs a statement by a plan for these values, or for all, and returns what was read of jobs: undone afterwards."""
    async with pool.connection() as connection, connection.transaction(force_rollback=True):
        await connection.execute(f"SET LOCAL plan_cache_mode = force_{plan}_plan".encode())
        await connection.execute("UPDATE work SET state = %s", [state])
        statement = b"EXPLAIN (ANALYZE, FORMAT JSON) " + query.sql
        row = await (await connection.execute(statement, bound, prepare=True)).fetchone()
    assert row is not None
    found = nodes(row["QUERY PLAN"][0]["Plan"])
    return [
        node
        for node in found
        if node.get("Relation Name", "").startswith("jobs_") and "Scan" in node["Node Type"]
    ]


def opened(scans: list[dict[str, Any]]) -> set[str]:
    return {scan["Relation Name"] for scan in scans if scan["Actual Loops"]}


async def executed_by_name(pool: Pool, name: str, query: Query, *, plan: str) -> list[dict[str, Any]]:
    ended = {"job_id": ENDED_ID, **these_ids([ENDED_ID]), "inputs": ["{}"]} if name in OF_ENDED else {}
    values = {key: value for key, value in {**MOVED, **ended}.items() if query.takes(key)}
    bound = query.bind(**{**dict.fromkeys(query._names), **values})
    state = State.SUBMITTING if name in {"adopt_task", "drop_attempt"} else State.PROCESSING
    return await executed(pool, query, bound, plan=plan, state=state)


async def test_what_is_about_one_job_opens_its_month_alone(filled: Pool) -> None:
    found = {}
    for (name, query), plan in product(ONE_JOB.items(), PLANS):
        found[name, plan] = opened(await executed_by_name(filled, name, query, plan=plan))

    assert found == {key: {THIS_MONTH} for key in product(ONE_JOB, PLANS)}


async def test_a_statement_that_may_wait_for_a_row_has_found_its_month_before(filled: Pool) -> None:
    """Until 18.4, PostgreSQL may crash when it looks for a partition after it has waited for a row."""
    found = {
        name: {scan["Relation Name"] for scan in await executed_by_name(filled, name, query, plan="generic")}
        for name, query in (CHANGES | STRAYS).items()
    }

    assert found == {name: {THIS_MONTH} for name in CHANGES | STRAYS}


async def test_a_claim_opens_the_months_of_its_jobs_alone(filled: Pool) -> None:
    found = [opened(await executed(filled, CLAIM, CLAIMED, plan=plan)) for plan in PLANS]

    assert found == [{THIS_MONTH}] * 2


@pytest.mark.parametrize("by_status", [False, True])
async def test_a_page_opens_the_newest_months_until_it_is_full(filled: Pool, by_status: bool) -> None:
    status = {"status": "completed"} if by_status else {}
    query = NEWEST[by_status, False]
    for plan in PLANS:
        scans = await executed(filled, query, query.bind(most=21, from_id="", **OWNED, **status), plan=plan)

        with_rows = [scan for scan in scans if scan["Actual Loops"] and scan["Actual Rows"]]
        assert sum(scan["Actual Rows"] for scan in with_rows) == 21
        assert len(with_rows) <= 2
        assert len(opened(scans)) <= len(with_rows) + MONTHS_TO_COME


async def test_a_page_behind_a_cursor_opens_no_month_after_it(filled: Pool) -> None:
    query = NEWEST[False, True]
    before = new_id("vid", utc_now().replace(year=utc_now().year - 1))

    scans = await executed(
        filled, query, query.bind(most=21, from_id="", before_id=before, **OWNED), plan="custom"
    )

    assert (
        max(name for name in opened(scans) if "first" not in name)
        <= f"jobs_vid_{utc_now().year - 1}_{utc_now():%m}"
    )


async def test_a_connection_plans_a_page_for_all_accounts_and_not_for_each(filled: Pool) -> None:
    nobody: Any = None
    settings = jobs_settings(database_url=filled.conninfo)
    core = Core(
        settings=settings,
        catalogue=nobody,
        tls=None,
        notifier=nobody,
        ledger=nobody,
        holds=nobody,
        links=nobody,
    )
    query, bound = NEWEST[False, False], NEWEST[False, False].bind(most=21, from_id="", **OWNED)
    async with core.open_pool("test") as pool, pool.connection() as connection:
        for _ in range(10):
            await connection.execute(query.sql, bound, prepare=True)
        cursor = await connection.execute("SELECT generic_plans, custom_plans FROM pg_prepared_statements")
        plans = [row for row in await cursor.fetchall() if row["generic_plans"] + row["custom_plans"] > 1]

    assert plans == [{"generic_plans": 10, "custom_plans": 0}]


async def test_what_is_old_of_an_account_is_read_by_index(filled: Pool) -> None:
    bound = AGED[Kept.CONTENT].bind(account_ids=["acct_1"], days=[30], each_max=10)

    scans = await executed(filled, AGED[Kept.CONTENT], bound, plan="generic")

    assert all(scan["Node Type"] == "Index Scan" for scan in scans if scan["Actual Rows"])
