"""What a duty tells: a run for each run, and a success that ages while it fails."""

import asyncio
import time
from collections.abc import Callable

import pytest

from services.common.loop import Duty, performing
from tests.metric_values import value
from tests.unit.common.virtual_time import run_virtually


def _runs(name: str) -> dict[str, float]:
    return {
        outcome: value("reelgate_duty_runs_total", duty=name, outcome=outcome)
        for outcome in ("done", "idle", "failed")
    }


async def _perform(
    name: str, results: list[int | Exception], *, passes: Callable[[], None] = lambda: None
) -> None:
    """Runs a duty with these results, one after the other. Before each, `passes` lets time pass."""
    left, over = list(results), asyncio.Event()

    async def run_once() -> int:
        if not left:
            over.set()
            await asyncio.Event().wait()
        passes()
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    async with performing(Duty(name, run_once, idle_seconds=1.0)):
        await over.wait()


def test_runs_are_counted_by_outcome_and_only_those_that_ended() -> None:
    run_virtually(_perform("unit_outcomes", [3, 0, RuntimeError(), 1, 0]))

    assert _runs("unit_outcomes") == {"done": 2, "idle": 2, "failed": 1}
    assert value("reelgate_duty_seconds_count", duty="unit_outcomes") == 5


@pytest.mark.parametrize(
    ("results", "at"),
    [([1, RuntimeError(), RuntimeError()], 200.0), ([RuntimeError(), 0], 300.0), ([RuntimeError()], 100.0)],
    ids=["while a duty fails", "until it succeeds", "from its start"],
)
def test_the_last_success_ages(
    monkeypatch: pytest.MonkeyPatch, results: list[int | Exception], at: float
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])

    def passes() -> None:
        clock[0] += 100.0

    run_virtually(_perform("unit_age", results, passes=passes))

    assert value("reelgate_duty_last_success_timestamp_seconds", duty="unit_age") == at
