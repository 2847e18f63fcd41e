"""What an account may ask about itself, on the wire."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.billing.v1 import billing_service_pb2, billing_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import render_balance
from services.billing.store.accounts import SqlAccounts
from services.common.auth.authentication import caller

Context = ServicerContext[Any, Any]


class BillingServicer(billing_service_pb2_grpc.BillingServiceServicer):
    """What an account may ask about itself."""

    def __init__(self, *, accounts: SqlAccounts) -> None:
        self._accounts = accounts

    @override
    async def GetBalance(
        self, request: billing_service_pb2.GetBalanceRequest, context: Context
    ) -> billing_service_pb2.GetBalanceResponse:
        who = caller()
        balance = await self._accounts.balance(account_id=who.account_id, environment=who.environment)
        return billing_service_pb2.GetBalanceResponse(data=render_balance(balance))
