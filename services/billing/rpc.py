"""The services on the wire: each method parses, calls one operation, renders."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    key_admin_service_pb2,
    key_admin_service_pb2_grpc,
)
from reelgate.billing.v1 import billing_service_pb2, billing_service_pb2_grpc
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc
from reelgate.internal.ledger.v1 import ledger_service_pb2, ledger_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import (
    parse_grant,
    parse_new_hold,
    render_balance,
    render_caller,
    render_hold,
    render_key,
)
from services.billing.domain import HoldChange, HoldState
from services.billing.operations.change_hold import change_hold
from services.billing.operations.create_account import create_account
from services.billing.operations.create_hold import create_hold
from services.billing.operations.create_key import create_key
from services.billing.operations.disable_key import disable_key
from services.billing.operations.get_balance import get_balance
from services.billing.operations.grant_credits import grant_credits
from services.billing.operations.list_keys import list_keys
from services.billing.operations.look_up_key import look_up_key
from services.billing.ports import Accounts, Holds, Keys
from services.common.authentication import caller

Context = ServicerContext[Any, Any]


class LedgerServicer(ledger_service_pb2_grpc.LedgerServiceServicer):
    """The ledger, for other services."""

    def __init__(self, *, holds: Holds) -> None:
        self._holds = holds

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
        change = HoldChange(hold_id=request.hold_id, state=HoldState.CONFIRMED)
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


class KeyServicer(key_service_pb2_grpc.KeyServiceServicer):
    """Key look-up, for the authentication of other services."""

    def __init__(self, *, keys: Keys) -> None:
        self._keys = keys

    @override
    async def LookUpKey(
        self, request: key_service_pb2.LookUpKeyRequest, context: Context
    ) -> key_service_pb2.LookUpKeyResponse:
        return render_caller(await look_up_key(request.key_sha256, keys=self._keys))


class AccountServicer(account_service_pb2_grpc.AccountServiceServicer):
    """Accounts, for operators."""

    def __init__(self, *, accounts: Accounts) -> None:
        self._accounts = accounts

    @override
    async def CreateAccount(
        self, request: account_service_pb2.CreateAccountRequest, context: Context
    ) -> account_service_pb2.CreateAccountResponse:
        account = await create_account(name=request.name, contract=request.contract, accounts=self._accounts)
        return account_service_pb2.CreateAccountResponse(account_id=account.account_id)

    @override
    async def GrantCredits(
        self, request: account_service_pb2.GrantCreditsRequest, context: Context
    ) -> account_service_pb2.GrantCreditsResponse:
        available_micros = await grant_credits(parse_grant(request), accounts=self._accounts)
        return account_service_pb2.GrantCreditsResponse(available_micros=available_micros)


class KeyAdminServicer(key_admin_service_pb2_grpc.KeyAdminServiceServicer):
    """API keys, for operators."""

    def __init__(self, *, accounts: Accounts, keys: Keys) -> None:
        self._accounts = accounts
        self._keys = keys

    @override
    async def CreateKey(
        self, request: key_admin_service_pb2.CreateKeyRequest, context: Context
    ) -> key_admin_service_pb2.CreateKeyResponse:
        secret, key = await create_key(
            account_id=request.account_id,
            environment=request.environment,
            accounts=self._accounts,
            keys=self._keys,
        )
        return key_admin_service_pb2.CreateKeyResponse(secret=secret, key=render_key(key))

    @override
    async def ListKeys(
        self, request: key_admin_service_pb2.ListKeysRequest, context: Context
    ) -> key_admin_service_pb2.ListKeysResponse:
        found = await list_keys(request.account_id, accounts=self._accounts, keys=self._keys)
        return key_admin_service_pb2.ListKeysResponse(keys=map(render_key, found))

    @override
    async def DisableKey(
        self, request: key_admin_service_pb2.DisableKeyRequest, context: Context
    ) -> key_admin_service_pb2.DisableKeyResponse:
        key = await disable_key(request.key_id, keys=self._keys)
        return key_admin_service_pb2.DisableKeyResponse(key=render_key(key))


class BillingServicer(billing_service_pb2_grpc.BillingServiceServicer):
    """What an account may ask about itself."""

    def __init__(self, *, accounts: Accounts) -> None:
        self._accounts = accounts

    @override
    async def GetBalance(
        self, request: billing_service_pb2.GetBalanceRequest, context: Context
    ) -> billing_service_pb2.GetBalanceResponse:
        who = caller()
        balance = await get_balance(
            account_id=who.account_id, environment=who.environment, accounts=self._accounts
        )
        return billing_service_pb2.GetBalanceResponse(data=render_balance(balance))
