"""The ledger on the wire, for other services."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.internal.ledger.v1 import ledger_service_pb2, ledger_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import parse_new_hold, parse_refund, render_hold
from services.billing.domain import HoldChange, HoldState
from services.billing.operations.change_hold import change_hold
from services.billing.operations.create_hold import create_hold
from services.billing.operations.get_balance import get_balance
from services.billing.operations.refund_hold import refund_hold
from services.billing.ports import Accounts, Holds

Context = ServicerContext[Any, Any]


class LedgerServicer(ledger_service_pb2_grpc.LedgerServiceServicer):
    """The ledger, for other services."""

    def __init__(self, *, holds: Holds, accounts: Accounts) -> None:
        self._holds = holds
        self._accounts = accounts

    @override
    async def CreateHold(
        self, request: ledger_service_pb2.CreateHoldRequest, context: Context
    ) -> ledger_service_pb2.CreateHoldResponse:
        hold = await create_hold(parse_new_hold(request), holds=self._holds)
        return ledger_service_pb2.CreateHoldResponse(hold=render_hold(hold))

    @override
    async def ConfirmHold(
        self, request: ledger_service_pb2.ConfirmHoldRequest, context: Context
    ) -> ledger_service_pb2.ConfirmHoldResponse:
        change = HoldChange(
            hold_id=request.hold_id, state=HoldState.CONFIRMED, lasts_seconds=request.lasts_seconds
        )
        hold = await change_hold(change, holds=self._holds)
        return ledger_service_pb2.ConfirmHoldResponse(hold=render_hold(hold))

    @override
    async def CaptureHold(
        self, request: ledger_service_pb2.CaptureHoldRequest, context: Context
    ) -> ledger_service_pb2.CaptureHoldResponse:
        change = HoldChange(
            hold_id=request.hold_id, state=HoldState.CAPTURED, captured_micros=request.amount_micros
        )
        hold = await change_hold(change, holds=self._holds)
        return ledger_service_pb2.CaptureHoldResponse(hold=render_hold(hold))

    @override
    async def ReleaseHold(
        self, request: ledger_service_pb2.ReleaseHoldRequest, context: Context
    ) -> ledger_service_pb2.ReleaseHoldResponse:
        change = HoldChange(hold_id=request.hold_id, state=HoldState.RELEASED)
        hold = await change_hold(change, holds=self._holds)
        return ledger_service_pb2.ReleaseHoldResponse(hold=render_hold(hold))

    @override
    async def RefundHold(
        self, request: ledger_service_pb2.RefundHoldRequest, context: Context
    ) -> ledger_service_pb2.RefundHoldResponse:
        hold = await refund_hold(parse_refund(request), holds=self._holds)
        return ledger_service_pb2.RefundHoldResponse(hold=render_hold(hold))

    @override
    async def GetFunds(
        self, request: ledger_service_pb2.GetFundsRequest, context: Context
    ) -> ledger_service_pb2.GetFundsResponse:
        balance = await get_balance(
            account_id=request.account_id, environment=request.environment, accounts=self._accounts
        )
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
        found = await self._holds.page(after_id=request.after_hold_id, holds_max=request.limit)
        return ledger_service_pb2.ListHoldsResponse(holds=map(render_hold, found))

    @override
    async def ListUnconfirmedHolds(
        self, request: ledger_service_pb2.ListUnconfirmedHoldsRequest, context: Context
    ) -> ledger_service_pb2.ListUnconfirmedHoldsResponse:
        found = await self._holds.unconfirmed(
            age_seconds_min=request.age_seconds_min,
            after_id=request.after_hold_id,
            holds_max=request.limit,
        )
        return ledger_service_pb2.ListUnconfirmedHoldsResponse(holds=map(render_hold, found))
