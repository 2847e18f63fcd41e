import asyncio
from typing import Any

from reelgate.admin.v1.environment_pb2 import Environment
from reelgate.admin.v1.job_admin_service_pb2 import JobState, UnfinishedJob
from reelgate.admin.v1.job_admin_service_pb2 import ListUnfinishedJobsResponse as Stalled

from services.cli.customer import Customer
from services.cli.stalled import CHECK_SECONDS, stalled_line, watch_stalled
from services.common.errors import Reason, ServiceError
from tests.unit.common.virtual_time import run_virtually


def stalled(count: int, *, last_error: str | None = "check: TypeError: x") -> Stalled:
    longest = UnfinishedJob(
        job_id="vid_1",
        account_id="acct_1",
        environment=Environment.ENVIRONMENT_LIVE,
        model="mini",
        state=JobState.JOB_STATE_PROCESSING,
        age_seconds=60,
        created_at="now",
        due_at="now",
        check_count=6,
        route="ark",
        task_id="cgt-1",
        claim_count=6,
        stalled_seconds=50,
        last_error=last_error,
    )
    return Stalled(stalled_count=count, jobs=[longest] if count else [])


def test_the_line_names_number_error_job_and_where_to_look() -> None:
    assert stalled_line(stalled(1_200)) == (
        "Jobs that do not move: 1,200, last error check: TypeError: x (vid_1); see `reelgate job list --stalled`"
    )
    assert "its workers died" in stalled_line(stalled(1, last_error=None))
    assert stalled_line(stalled(0)) == "Jobs that do not move: 0"


def said(*found: Stalled | Exception) -> list[str]:
    """Returns what is said while these are found, one after another."""
    lines: list[str] = []
    left = list(found)

    async def look() -> Stalled:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def watch() -> None:
        watching = asyncio.create_task(watch_stalled(look, say=lines.append))
        await asyncio.sleep(CHECK_SECONDS * (len(found) + 0.5))
        watching.cancel()

    run_virtually(watch())
    assert left == []
    return lines


def test_it_is_said_when_it_appears_changes_and_ends_and_not_in_between() -> None:
    other = stalled(2, last_error="complete: HOLD_NOT_FOUND: none")
    away = ServiceError(Reason.UNAVAILABLE, "away")

    lines = said(stalled(0), stalled(1), stalled(3), away, stalled(3), other, other, stalled(0), stalled(0))

    assert lines == [stalled_line(stalled(1)), stalled_line(other), stalled_line(stalled(0))]


class Scripted(Customer):
    """A customer whose polls find a status for so many seconds each."""

    def __init__(self, *statuses: tuple[str, float]) -> None:
        self._videos_url = ""
        self._statuses = statuses

    async def _call(self, method: str, url: str, request: Any = None) -> dict[str, Any]:
        now = asyncio.get_running_loop().time() - 1_000
        for status, until in self._statuses:
            if now < until:
                return {"status": status}
        return {"status": "completed"}


def noticed(*statuses: tuple[str, float]) -> list[str]:
    about: list[str] = []
    run_virtually(Scripted(*statuses).wait("vid_1", show=lambda _: None, notice=about.append))
    return about


def test_a_status_that_does_not_change_is_noticed_once() -> None:
    assert noticed(("pending", 10), ("processing", 30)) == []
    assert noticed(("pending", 10), ("processing", 100)) == ["processing"]
    assert noticed(("pending", 100), ("processing", 120)) == ["pending"]
