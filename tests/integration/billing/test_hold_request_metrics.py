"""Each request to a hold is counted by its outcome, whether it comes alone or with others in one call."""

import pytest
from reelgate.internal.ledger.v1 import ledger_service_pb2 as ledger_pb2

from services.common.errors import ServiceError
from tests.integration.billing.running import CREDIT, Billing
from tests.metric_values import values


def counts() -> dict[str, float]:
    return {
        f"{request} {outcome}": count
        for (outcome, request), count in values("reelgate_hold_requests_total").items()
    }


def more(before: dict[str, float]) -> dict[str, float]:
    return {name: count - before[name] for name, count in counts().items() if count > before[name]}


async def test_requests_are_counted_one_by_one_though_they_share_a_call(billing: Billing) -> None:
    account_id = await billing.account(credits_live=2)
    before = counts()

    wanted = [
        ledger_pb2.CreateHoldRequest(
            hold_id=f"vid_{number}", account_id=account_id, environment="live", amount_micros=CREDIT
        )
        for number in range(3)
    ]
    await billing.ledger.CreateHolds(ledger_pb2.CreateHoldsRequest(holds=wanted))
    changes = [
        ledger_pb2.HoldChange(confirm=ledger_pb2.ConfirmHoldRequest(hold_id="vid_1", lasts_seconds=60)),
        ledger_pb2.HoldChange(capture=ledger_pb2.CaptureHoldRequest(hold_id="vid_1", amount_micros=CREDIT)),
        ledger_pb2.HoldChange(release=ledger_pb2.ReleaseHoldRequest(hold_id="vid_2")),
        ledger_pb2.HoldChange(release=ledger_pb2.ReleaseHoldRequest(hold_id="vid_0")),
    ]
    await billing.ledger.ChangeHolds(ledger_pb2.ChangeHoldsRequest(changes=changes))

    assert more(before) == {
        "create OK": 2,
        "create CREDITS_INSUFFICIENT": 1,
        "confirm OK": 1,
        "capture OK": 1,
        "release HOLD_NOT_FOUND": 1,
        "release OK": 1,
    }


async def test_a_request_that_comes_alone_is_counted_too(billing: Billing) -> None:
    account_id = await billing.account(credits_live=1)
    before = counts()

    await billing.hold("vid_1", account_id, CREDIT)
    with pytest.raises(ServiceError):
        await billing.capture("vid_1", 2 * CREDIT)

    assert more(before) == {"create OK": 1, "capture AMOUNT_ABOVE_HOLD": 1}
