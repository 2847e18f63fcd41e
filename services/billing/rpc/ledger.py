"""The ledger on the wire, for other services."""

import logging
from collections.abc import Sequence
from typing import Any

from grpc.aio import ServicerContext
from reelgate.internal.ledger.v1 import ledger_service_pb2, ledger_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import (
    parse_capture,
    parse_change,
    parse_confirmation,
    parse_new_hold,
    parse_refund,
    parse_release,
    render_hold,
)
from services.billing.domain import Hold
from services.billing.store.accounts import SqlAccounts
from services.billing.store.holds import SqlHolds
from services.common.errors import ServiceError
from services.common.paging import cut, page_size
from services.common.rpc.both_ends import request_id
from services.common.rpc.refusals import refusal_of
from services.common.rpc.statuses import status_of

log = logging.getLogger(__name__)

Context = ServicerContext[Any, Any]


class LedgerServicer(ledger_service_pb2_grpc.LedgerServiceServicer):
    """The ledger, for other services."""

    def __init__(self, *, holds: SqlHolds, accounts: SqlAccounts) -> None:
        self._holds = holds
        self._accounts = accounts

    @override
    async def CreateHold(
        self, request: ledger_service_pb2.CreateHoldRequest, context: Context
    ) -> ledger_service_pb2.CreateHoldResponse:
        hold = await self._holds.create(parse_new_hold(request))
        return ledger_service_pb2.CreateHoldResponse(hold=render_hold(hold))

    @override
    async def CreateHolds(
        self, request: ledger_service_pb2.CreateHoldsRequest, context: Context
    ) -> ledger_service_pb2.CreateHoldsResponse:
        wanted = [parse_new_hold(each) for each in request.holds]
        outcomes = await self._holds.create_all(wanted)
        ids = [each.hold_id for each in wanted]
        return ledger_service_pb2.CreateHoldsResponse(outcomes=_rendered(ids, outcomes))

    @override
    async def ConfirmHold(
        self, request: ledger_service_pb2.ConfirmHoldRequest, context: Context
    ) -> ledger_service_pb2.ConfirmHoldResponse:
        hold = await self._holds.change(parse_confirmation(request))
        return ledger_service_pb2.ConfirmHoldResponse(hold=render_hold(hold))

    @override
    async def CaptureHold(
        self, request: ledger_service_pb2.CaptureHoldRequest, context: Context
    ) -> ledger_service_pb2.CaptureHoldResponse:
        hold = await self._holds.change(parse_capture(request))
        return ledger_service_pb2.CaptureHoldResponse(hold=render_hold(hold))

    @override
    async def ReleaseHold(
        self, request: ledger_service_pb2.ReleaseHoldRequest, context: Context
    ) -> ledger_service_pb2.ReleaseHoldResponse:
        hold = await self._holds.change(parse_release(request))
        return ledger_service_pb2.ReleaseHoldResponse(hold=render_hold(hold))

    @override
    async def ChangeHolds(
        self, request: ledger_service_pb2.ChangeHoldsRequest, context: Context
    ) -> ledger_service_pb2.ChangeHoldsResponse:
        changes = [parse_change(each) for each in request.changes]
        outcomes = await self._holds.change_all(changes)
        ids = [each.hold_id for each in changes]
        return ledger_service_pb2.ChangeHoldsResponse(outcomes=_rendered(ids, outcomes))

    @override
    async def RefundHold(
        self, request: ledger_service_pb2.RefundHoldRequest, context: Context
    ) -> ledger_service_pb2.RefundHoldResponse:
        hold = await self._holds.refund(parse_refund(request))
        return ledger_service_pb2.RefundHoldResponse(hold=render_hold(hold))

    @override
    async def GetFunds(
        self, request: ledger_service_pb2.GetFundsRequest, context: Context
    ) -> ledger_service_pb2.GetFundsResponse:
        balance = await self._accounts.balance(account_id=request.account_id, environment=request.environment)
        return ledger_service_pb2.GetFundsResponse(
            available_micros=balance.available_micros, held_micros=balance.held_micros
        )

    @override
    async def GetHolds(
        self, request: ledger_service_pb2.GetHoldsRequest, context: Context
    ) -> ledger_service_pb2.GetHoldsResponse:
        found = await self._holds.get(request.hold_ids)
        return ledger_service_pb2.GetHoldsResponse(holds=map(render_hold, found))

    @override
    async def ListHolds(
        self, request: ledger_service_pb2.ListHoldsRequest, context: Context
    ) -> ledger_service_pb2.ListHoldsResponse:
        size = page_size(request.page_size)
        found = await self._holds.page(after_id=request.page_token, holds_max=size + 1)
        page, token = cut(found, size, _hold_id)
        return ledger_service_pb2.ListHoldsResponse(holds=map(render_hold, page), next_page_token=token)

    @override
    async def ListUnconfirmedHolds(
        self, request: ledger_service_pb2.ListUnconfirmedHoldsRequest, context: Context
    ) -> ledger_service_pb2.ListUnconfirmedHoldsResponse:
        size = page_size(request.page_size)
        found = await self._holds.unconfirmed(
            age_seconds_min=request.age_seconds_min, after_id=request.page_token, holds_max=size + 1
        )
        page, token = cut(found, size, _hold_id)
        return ledger_service_pb2.ListUnconfirmedHoldsResponse(
            holds=map(render_hold, page), next_page_token=token
        )


def _rendered(
    hold_ids: Sequence[str], outcomes: Sequence[Hold | Exception]
) -> list[ledger_service_pb2.HoldOutcome]:
    """Returns outcomes as they are sent. Raises the failure of a call in which everything failed."""
    failed = {id(each): each for each in outcomes if not isinstance(each, Hold | ServiceError)}
    if len(failed) == 1 and not any(isinstance(each, Hold | ServiceError) for each in outcomes):
        raise failed.popitem()[1]
    for error in failed.values():
        log.error("request_id=%s", request_id.get(), exc_info=error)
    return [_outcome(hold_id, outcome) for hold_id, outcome in zip(hold_ids, outcomes, strict=True)]


def _outcome(hold_id: str, outcome: Hold | Exception) -> ledger_service_pb2.HoldOutcome:
    if isinstance(outcome, Hold):
        return ledger_service_pb2.HoldOutcome(hold=render_hold(outcome))
    refusal = refusal_of(outcome)
    # The line of the call says only that it was answered.
    log.info("hold=%s refused reason=%s request_id=%s", hold_id, refusal.reason, request_id.get())
    return ledger_service_pb2.HoldOutcome(refusal=status_of(refusal))


def _hold_id(hold: Hold) -> str:
    return hold.hold_id
