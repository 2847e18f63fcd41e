"""What breaks a batch fails, whatever stands beside it, and nothing else does."""

import asyncio
import logging
from collections.abc import Sequence

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.postgres.batching import Batcher, answer_apart, succeeded
from services.common.postgres.connection import is_outage

ITEMS_MAX = 40


class Doubling:
    """Doubles numbers, all or none: a poisoned one breaks its batch."""

    def __init__(
        self, poisoned: frozenset[int] = frozenset(), *, error: type[Exception] = ValueError
    ) -> None:
        self.poisoned = poisoned
        self.error = error
        self.runs: list[list[int]] = []

    async def run(self, items: Sequence[int]) -> list[int]:
        self.runs.append(list(items))
        if self.poisoned & set(items):
            raise self.error("poisoned")
        return [2 * item for item in items]


def shown(answers: Sequence[object]) -> list[object]:
    return [type(answer) if isinstance(answer, Exception) else answer for answer in answers]


@given(st.frozensets(st.integers(0, ITEMS_MAX - 1)), st.integers(1, ITEMS_MAX))
async def test_exactly_the_poisoned_fail(poisoned: frozenset[int], items_max: int) -> None:
    doubling = Doubling(poisoned)
    batcher = Batcher(doubling.run, items_max=items_max, name="double", name_of=str)

    answers = await asyncio.gather(
        *(batcher.submit(item) for item in range(ITEMS_MAX)), return_exceptions=True
    )

    assert shown(answers) == [ValueError if item in poisoned else 2 * item for item in range(ITEMS_MAX)]


async def test_one_that_breaks_a_batch_costs_few_runs_and_nobody_runs_twice_with_success() -> None:
    doubling = Doubling(frozenset({37}))

    await answer_apart(doubling.run, range(100), name="double", name_of=str)

    succeeded_once = [item for batch in doubling.runs if 37 not in batch for item in batch]
    assert len(doubling.runs) <= 15
    assert sorted(succeeded_once) == [item for item in range(100) if item != 37]


async def test_the_one_is_named_in_the_log_and_the_others_are_not(caplog: pytest.LogCaptureFixture) -> None:
    doubling = Doubling(frozenset({7}))

    await answer_apart(doubling.run, range(10), name="double", name_of="hold_{}".format)

    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "batch=double item=hold_7 fails alone"


async def test_an_outage_is_everybodys_and_is_not_tried_again_for_each() -> None:
    doubling = Doubling(frozenset({7}), error=psycopg.OperationalError)

    answers = await answer_apart(doubling.run, range(10), name="double", name_of=str)

    assert shown(answers) == [psycopg.OperationalError] * 10
    assert len(doubling.runs) == 1
    with pytest.raises(psycopg.OperationalError):
        succeeded(answers)


async def test_those_that_succeeded_are_told_from_those_that_failed() -> None:
    answers = await answer_apart(Doubling(frozenset({1})).run, range(3), name="double", name_of=str)

    assert succeeded(answers) == [0, 4]


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (psycopg.OperationalError("the connection is lost"), True),
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.QueryCanceled(), True),
        (psycopg.errors.DiskFull(), True),
        (psycopg.errors.DeadlockDetected(), False),
        (psycopg.errors.ProgramLimitExceeded(), False),
        (psycopg.errors.CheckViolation(), False),
        (ValueError(), False),
    ],
)
def test_an_outage_is_told_from_what_the_database_was_asked(error: Exception, outage: bool) -> None:
    assert is_outage(error) is outage
