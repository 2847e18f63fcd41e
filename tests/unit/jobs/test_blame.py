"""Which failures keep other jobs from a route or its credential."""

from datetime import UTC, datetime

import pytest

from services.jobs.domain.claims import Attempt, Blame, Fault
from services.jobs.domain.routes import SIMULATOR
from services.jobs.steps.drop import blame_for, blame_of
from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    BusyError,
    RefusalKind,
    Refused,
    RefusedError,
    UnreachableError,
    UpstreamError,
)

ERRORS: tuple[UpstreamError, ...] = (
    *(BrokenError("no", cause=cause) for cause in BrokenCause),
    BusyError("later", retry_after_seconds=30.0),
    UnreachableError("down"),
    RefusedError(Refused(kind=RefusalKind.UNAVAILABLE)),
)
BLAMES = [blame_of(error) for error in ERRORS] + [Blame(fault=Fault.RENDER)]


def attempt_at(route: str) -> Attempt:
    opened_at = datetime(2026, 1, 1, tzinfo=UTC)
    return Attempt(
        id="vid_1-1", job_id="vid_1", number=1, route=route, upstream_model="m", token="t", lease_no=1, opened_at=opened_at
    )  # fmt: skip


@pytest.mark.parametrize("blame", BLAMES, ids=repr)
def test_what_a_customer_of_test_asks_for_concerns_no_other(blame: Blame) -> None:
    assert blame.fault is not None or blame.takes_out or blame.pause_seconds

    shown = blame_for(attempt_at(SIMULATOR), blame)

    assert shown == Blame(failure_class=blame.failure_class)
    assert blame_for(attempt_at("ark-pro"), blame) == blame
