"""Accounts on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import account_service_pb2, account_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import (
    LIST_LIMIT_DEFAULT,
    parse_account_rules,
    parse_correction,
    parse_grant,
    parse_limits,
    parse_note,
    parse_statement_range,
    render_account,
    render_account_rules,
    render_spending,
    render_statement_line,
)
from services.billing.operations.create_account import create_account
from services.billing.operations.get_account import get_account
from services.billing.operations.get_statement import get_statement
from services.billing.operations.give_credits import give_credits
from services.billing.operations.resume_account import resume_account
from services.billing.operations.set_account_limits import set_account_limits
from services.billing.operations.set_account_rules import set_account_rules
from services.billing.operations.suspend_account import suspend_account
from services.billing.ports import Accounts, Statements

Context = ServicerContext[Any, Any]


class AccountServicer(account_service_pb2_grpc.AccountServiceServicer):
    """Accounts, for operators."""

    def __init__(self, *, accounts: Accounts, statements: Statements) -> None:
        self._accounts = accounts
        self._statements = statements

    @override
    async def CreateAccount(
        self, request: account_service_pb2.CreateAccountRequest, context: Context
    ) -> account_service_pb2.CreateAccountResponse:
        account_id = await create_account(
            name=request.name,
            contract=request.contract,
            note=parse_note(request.audit),
            accounts=self._accounts,
        )
        return account_service_pb2.CreateAccountResponse(account_id=account_id)

    @override
    async def GetAccount(
        self, request: account_service_pb2.GetAccountRequest, context: Context
    ) -> account_service_pb2.GetAccountResponse:
        account = await get_account(request.account_id, accounts=self._accounts)
        return account_service_pb2.GetAccountResponse(account=render_account(account))

    @override
    async def ListAccounts(
        self, request: account_service_pb2.ListAccountsRequest, context: Context
    ) -> account_service_pb2.ListAccountsResponse:
        found = await self._accounts.page(
            before_id=request.before_account_id or None, accounts_max=request.limit or LIST_LIMIT_DEFAULT
        )
        return account_service_pb2.ListAccountsResponse(accounts=map(render_account, found))

    @override
    async def SuspendAccount(
        self, request: account_service_pb2.SuspendAccountRequest, context: Context
    ) -> account_service_pb2.SuspendAccountResponse:
        account = await suspend_account(
            request.account_id, note=parse_note(request.audit), accounts=self._accounts
        )
        return account_service_pb2.SuspendAccountResponse(account=render_account(account))

    @override
    async def ResumeAccount(
        self, request: account_service_pb2.ResumeAccountRequest, context: Context
    ) -> account_service_pb2.ResumeAccountResponse:
        account = await resume_account(
            request.account_id, note=parse_note(request.audit), accounts=self._accounts
        )
        return account_service_pb2.ResumeAccountResponse(account=render_account(account))

    @override
    async def SetAccountLimits(
        self, request: account_service_pb2.SetAccountLimitsRequest, context: Context
    ) -> account_service_pb2.SetAccountLimitsResponse:
        spending = await set_account_limits(
            request.account_id,
            environment=request.environment,
            limits=parse_limits(request.limits),
            note=parse_note(request.audit),
            accounts=self._accounts,
        )
        return account_service_pb2.SetAccountLimitsResponse(spending=render_spending(spending))

    @override
    async def SetAccountRules(
        self, request: account_service_pb2.SetAccountRulesRequest, context: Context
    ) -> account_service_pb2.SetAccountRulesResponse:
        rules = await set_account_rules(
            request.account_id,
            rules=parse_account_rules(request.rules),
            note=parse_note(request.audit),
            accounts=self._accounts,
        )
        return account_service_pb2.SetAccountRulesResponse(rules=render_account_rules(rules))

    @override
    async def GrantCredits(
        self, request: account_service_pb2.GrantCreditsRequest, context: Context
    ) -> account_service_pb2.GrantCreditsResponse:
        available_micros = await give_credits(parse_grant(request), accounts=self._accounts)
        return account_service_pb2.GrantCreditsResponse(available_micros=available_micros)

    @override
    async def CorrectBalance(
        self, request: account_service_pb2.CorrectBalanceRequest, context: Context
    ) -> account_service_pb2.CorrectBalanceResponse:
        available_micros = await give_credits(parse_correction(request), accounts=self._accounts)
        return account_service_pb2.CorrectBalanceResponse(available_micros=available_micros)

    @override
    async def GetStatement(
        self, request: account_service_pb2.GetStatementRequest, context: Context
    ) -> account_service_pb2.GetStatementResponse:
        lines, next_after_version = await get_statement(
            parse_statement_range(request), accounts=self._accounts, statements=self._statements
        )
        return account_service_pb2.GetStatementResponse(
            lines=map(render_statement_line, lines), next_after_version=next_after_version
        )
