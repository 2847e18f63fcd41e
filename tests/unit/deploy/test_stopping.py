"""A pod has more time to stop than its process may take, and docs/operate.md says how much of what."""

import pytest

from deploy.checks.objects import named, pods, production, settings_of
from services.common.rpc.durations import (
    ANSWER_SECONDS_MAX,
    CLOSE_SECONDS_MAX,
    DRAIN_SECONDS,
    WAIT_SECONDS_MAX,
)
from services.edge.drain import DRAIN_SECONDS_MAX
from services.jobs.duties.walk_jobs import DRAIN_SECONDS as WALKS_SECONDS
from services.webhooks.duties.deliver import STOP_SECONDS
from tests.unit.deploy import page

OBJECTS = production()
WORK_SECONDS = {"jobs-worker": WALKS_SECONDS, "webhooks-dispatcher": STOP_SECONDS}
BALANCED = {"edge", "jobs-api", "billing", "webhooks-api"}
"""Workloads whose callers have to notice that a pod stops."""
PROBES_SECONDS = 4 + 2
"""In which a kubelet has found a pod unready: two probes that fail, and the timeout of one."""


def _parts(workload: str) -> list[float]:
    """Returns the seconds of notice, running calls, work and closing."""
    settings = settings_of(OBJECTS, workload)
    notice = next((float(value) for name, value in settings.items() if name.endswith("_NOTICE_SECONDS")), 0.0)
    if workload == "edge":
        return [notice, DRAIN_SECONDS_MAX, 0, 0]
    return [notice, DRAIN_SECONDS, WORK_SECONDS.get(workload, 0), CLOSE_SECONDS_MAX]


@pytest.mark.parametrize("row", list(page.rows("Stopping")), ids=lambda row: row[0])
def test_the_page_adds_up_what_the_code_takes(row: list[str]) -> None:
    workload = page.names(row[0])[0]
    parts = _parts(workload)
    grace = pods(OBJECTS)[workload]["terminationGracePeriodSeconds"]

    assert [float(cell) for cell in row[1:]] == [*parts, sum(parts), grace]
    assert grace >= sum(parts) + 5


def test_every_deployment_but_the_operator_s_is_in_the_table() -> None:
    told = {name for row in page.rows("Stopping") for name in page.names(row[0])}

    assert told == set(named(OBJECTS, "Deployment")) - {"operator"}


@pytest.mark.parametrize("workload", sorted(BALANCED))
def test_who_is_balanced_over_gives_notice_for_longer_than_probes_take(workload: str) -> None:
    assert _parts(workload)[0] > PROBES_SECONDS


def test_running_calls_may_end_before_a_process_does() -> None:
    assert DRAIN_SECONDS > ANSWER_SECONDS_MAX
    assert DRAIN_SECONDS_MAX > WAIT_SECONDS_MAX
