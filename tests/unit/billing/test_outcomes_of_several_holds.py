"""Of several holds in one call each has its own outcome; a call in which everything failed has failed."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import psycopg
import pytest
from reelgate.internal.ledger.v1 import ledger_service_pb2 as ledger_pb2

from services.billing.domain import Hold, HoldState, NewHold
from services.billing.rpc.ledger import LedgerServicer
from services.billing.store.accounts import SqlAccounts
from services.billing.store.holds import SqlHolds
from services.common.errors import OUTAGE_MESSAGE, Reason, ServiceError
from services.common.rpc.statuses import error_of

HOLD = Hold(
    hold_id="vid_0",
    account_id="acct_1",
    environment="live",
    amount_micros=5,
    captured_micros=0,
    refunded_micros=0,
    state=HoldState.PROVISIONAL,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
REFUSAL = ServiceError(Reason.RATE_LIMITED, "Slow down.", retry_after_seconds="7")
OUTAGE = psycopg.OperationalError("the connection to 10.0.0.7 is lost")


class ScriptedHolds:
    """Has an outcome for each hold."""

    def __init__(self, *outcomes: Hold | Exception) -> None:
        self._outcomes = outcomes

    async def create_all(self, wanted: Sequence[NewHold]) -> list[Hold | Exception]:
        assert len(wanted) == len(self._outcomes)
        return [*self._outcomes]


async def created(*outcomes: Hold | Exception) -> list[ledger_pb2.HoldOutcome]:
    servicer = LedgerServicer(
        holds=cast("SqlHolds", ScriptedHolds(*outcomes)), accounts=cast("SqlAccounts", None)
    )
    wanted = [ledger_pb2.CreateHoldRequest(hold_id=f"vid_{number}") for number in range(len(outcomes))]
    nobody: Any = None
    return [*(await servicer.CreateHolds(ledger_pb2.CreateHoldsRequest(holds=wanted), nobody)).outcomes]


async def test_a_hold_a_refusal_and_a_failure_stand_beside_each_other() -> None:
    held, refused, failed = await created(HOLD, REFUSAL, OUTAGE)

    assert (held.hold.hold_id, held.hold.amount_micros) == ("vid_0", 5)
    refusal = error_of(refused.refusal)
    assert (refusal.reason, refusal.message, refusal.metadata) == (
        REFUSAL.reason,
        REFUSAL.message,
        {"retry_after_seconds": "7"},
    )
    failure = error_of(failed.refusal)
    assert (failure.reason, failure.message) == (Reason.UNAVAILABLE, OUTAGE_MESSAGE[Reason.UNAVAILABLE])


async def test_lines_name_each_hold_that_was_refused_and_a_failure_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    await created(HOLD, REFUSAL, OUTAGE, OUTAGE)

    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert [line.split()[:3] for line in lines] == [
        [f"hold=vid_{number}", "refused", f"reason={reason}"]
        for number, reason in ((1, "RATE_LIMITED"), (2, "UNAVAILABLE"), (3, "UNAVAILABLE"))
    ]
    [failure] = [record for record in caplog.records if record.exc_info]
    assert failure.exc_info is not None
    assert failure.exc_info[1] is OUTAGE


async def test_where_all_failed_of_one_cause_the_call_fails_of_it() -> None:
    with pytest.raises(psycopg.OperationalError) as failed:
        await created(OUTAGE, OUTAGE)

    assert failed.value is OUTAGE


async def test_where_all_are_refused_the_call_succeeds() -> None:
    assert [error_of(each.refusal).reason for each in await created(REFUSAL)] == [Reason.RATE_LIMITED]
