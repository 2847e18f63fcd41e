"""No second task is ordered while one may run, none after a refusal of content, and all that may cost us is on record."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.common.postgres.database import open_pool
from services.jobs.domain.failures import FailureCode
from services.jobs.timing import RENDERS_MAX
from tests.conftest import MakeDatabase
from tests.integration.jobs.conftest import OWNER, a_job
from tests.integration.jobs.two_routes import ORDERS, TASKS, ChattyProvider, TwoRoutes, World

EXAMPLES = 15
SCRIPTS = st.fixed_dictionaries(
    {
        "orders": st.lists(st.sampled_from(sorted(ORDERS)), max_size=6),
        "tasks": st.lists(st.sampled_from(sorted(TASKS)), max_size=8),
        "searchable": st.booleans(),
    }
)


def a_script(*orders: str, tasks: Sequence[str] = (), searchable: bool = True) -> dict[str, Any]:
    """Returns a script that chance might take long to find."""
    return {"orders": list(orders), "tasks": list(tasks), "searchable": searchable}


CLEAN = """
TRUNCATE jobs, work, attempts, outbox, strays, usage_daily, usage_hourly, route_states, credential_states
"""


def test_no_second_task_is_ordered_while_one_may_run(make_database: MakeDatabase) -> None:
    with asyncio.Runner() as runner:
        opening = open_pool(make_database("jobs"), name="test", connections_max=4, plans_once=True)
        pool = runner.run(opening.__aenter__())

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @example(first=a_script("lost, started", searchable=False), second=a_script())
        @example(first=a_script("lost, not started", "lost, started"), second=a_script("busy"))
        @example(first=a_script(tasks=["unavailable"] * 4), second=a_script(tasks=["running", "unavailable"]))
        @example(
            first=a_script("no model", "taken"),
            second=a_script("unreachable", tasks=["running", "unavailable"]),
        )
        @example(first=a_script("refused"), second=a_script())
        @given(first=SCRIPTS, second=SCRIPTS)
        def played(first: dict[str, Any], second: dict[str, Any]) -> None:
            runner.run(_played(pool, first, second))

        try:
            played()
        finally:
            runner.run(opening.__aexit__(None, None, None))


async def _played(pool: Any, *scripts: dict[str, Any]) -> None:
    world = World()
    providers = [
        ChattyProvider(
            name=name, world=world, **{**script, "orders": [*script["orders"]], "tasks": [*script["tasks"]]}
        )
        for name, script in zip(("alpha", "beta"), scripts, strict=True)
    ]
    routes = TwoRoutes(pool, providers)
    await routes.sql(CLEAN)
    job = replace(a_job(), owner=replace(OWNER, contract="nextapi"))
    await routes.store(job)

    await routes.play()

    [ended] = await routes.sql("SELECT status, failure, video_url, charged_micros, refunded_micros FROM jobs")
    _money_adds_up(ended, routes.ledger, job.id, job.reserved_micros)
    attempts = await routes.sql("SELECT * FROM attempts ORDER BY number")
    assert all(each["outcome"] for each in attempts)
    _every_task_is_on_record(world, attempts, await routes.sql("SELECT * FROM strays"))
    assert sum(each["task_id"] is not None for each in attempts) <= RENDERS_MAX
    if world.refused:
        assert ended["failure"] == FailureCode.CONTENT_POLICY_VIOLATION
    told = await routes.sql("SELECT sequence FROM outbox ORDER BY sequence")
    assert [each["sequence"] for each in told] == list(range(1, len(told) + 1))


def _money_adds_up(ended: dict[str, Any], ledger: Any, job_id: str, reserved_micros: int) -> None:
    if ended["status"] == "completed":
        assert ended["video_url"]
        assert (ended["charged_micros"], ledger.captured) == (reserved_micros, {job_id: reserved_micros})
    else:
        assert ended["status"] == "failed"
        assert (ended["charged_micros"], ended["refunded_micros"]) == (0, reserved_micros)
        assert ledger.state == {job_id: "released"}


def _every_task_is_on_record(world: World, attempts: Sequence[Any], strays: Sequence[Any]) -> None:
    by_id = {each["id"]: each for each in attempts}
    for task_id, attempt_id in world.started.items():
        attempt = by_id[attempt_id]
        assert attempt["task_id"] == task_id or attempt["outcome"] == "unknown", attempt
    costly = {each["id"] for each in attempts if each["cost_micros"] is not None}
    assert costly == {each["id"] for each in attempts if each["outcome"] in {"succeeded", "unknown"}}
    assert {each["attempt_id"] for each in strays} == {
        each["id"] for each in attempts if each["outcome"] == "unknown"
    }
