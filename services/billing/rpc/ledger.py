"""The ledger on the wire, for other services."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.internal.ledger.v1 import ledger_service_pb2, ledger_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import parse_new_hold, parse_refund, render_hold
from services.billing.domain import Hold, HoldChange, HoldState
from services.billing.store.accounts import SqlAccounts
from services.billing.store.holds import SqlHolds
from services.common.paging import cut, page_size

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
    async def ConfirmHold(
        self, request: ledger_service_pb2.ConfirmHoldRequest, context: Context
    ) -> ledger_service_pb2.ConfirmHoldResponse:
        change = HoldChange(
            hold_id=request.hold_id, state=HoldState.CONFIRMED, lasts_seconds=request.lasts_seconds
        )
        hold = await self._holds.change(change)
        return ledger_service_pb2.ConfirmHoldResponse(hold=render_hold(hold))

    @override
    async def CaptureHold(
        self, request: ledger_service_pb2.CaptureHoldRequest, context: Context
    ) -> ledger_service_pb2.CaptureHoldResponse:
        change = HoldChange(
            hold_id=request.hold_id, state=HoldState.CAPTURED, captured_micros=request.amount_micros
        )
        hold = await self._holds.change(change)
        return ledger_service_pb2.CaptureHoldResponse(hold=render_hold(hold))

    @override
    async def ReleaseHold(
        self, request: ledger_service_pb2.ReleaseHoldRequest, context: Context
    ) -> ledger_service_pb2.ReleaseHoldResponse:
        change = HoldChange(hold_id=request.hold_id, state=HoldState.RELEASED)
        hold = await self._holds.change(change)
        return ledger_service_pb2.ReleaseHoldResponse(hold=render_hold(hold))

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


def _hold_id(hold: Hold) -> str:
    return hold.hold_id
