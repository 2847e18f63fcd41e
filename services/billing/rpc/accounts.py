"""Accounts on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import account_service_pb2, account_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import (
    parse_account_rules,
    parse_correction,
    parse_grant,
    parse_limits,
    parse_statement_range,
    render_account,
    render_account_rules,
    render_spending,
    render_statement_line,
)
from services.billing.operations.accounts import create_account, get_statement
from services.billing.store.accounts import SqlAccounts
from services.billing.store.statements import SqlStatements
from services.common.audit.servicer import parse_note
from services.common.paging import cut, page_size
from services.common.rpc.enums import environment_of

Context = ServicerContext[Any, Any]


class AccountServicer(account_service_pb2_grpc.AccountServiceServicer):
    """Accounts, for operators."""

    def __init__(self, *, accounts: SqlAccounts, statements: SqlStatements) -> None:
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
        account = await self._accounts.get(request.account_id)
        return account_service_pb2.GetAccountResponse(account=render_account(account))

    @override
    async def ListAccounts(
        self, request: account_service_pb2.ListAccountsRequest, context: Context
    ) -> account_service_pb2.ListAccountsResponse:
        size = page_size(request.page_size)
        found = await self._accounts.page(before_id=request.page_token or None, accounts_max=size + 1)
        page, token = cut(found, size, lambda account: account.account_id)
        return account_service_pb2.ListAccountsResponse(
            accounts=map(render_account, page), next_page_token=token
        )

    @override
    async def SuspendAccount(
        self, request: account_service_pb2.SuspendAccountRequest, context: Context
    ) -> account_service_pb2.SuspendAccountResponse:
        account = await self._accounts.suspend(request.account_id, note=parse_note(request.audit))
        return account_service_pb2.SuspendAccountResponse(account=render_account(account))

    @override
    async def ResumeAccount(
        self, request: account_service_pb2.ResumeAccountRequest, context: Context
    ) -> account_service_pb2.ResumeAccountResponse:
        account = await self._accounts.resume(request.account_id, note=parse_note(request.audit))
        return account_service_pb2.ResumeAccountResponse(account=render_account(account))

    @override
    async def SetAccountLimits(
        self, request: account_service_pb2.SetAccountLimitsRequest, context: Context
    ) -> account_service_pb2.SetAccountLimitsResponse:
        spending = await self._accounts.set_limits(
            request.account_id,
            environment=environment_of(request.environment),
            limits=parse_limits(request.limits),
            note=parse_note(request.audit),
        )
        return account_service_pb2.SetAccountLimitsResponse(spending=render_spending(spending))

    @override
    async def SetAccountRules(
        self, request: account_service_pb2.SetAccountRulesRequest, context: Context
    ) -> account_service_pb2.SetAccountRulesResponse:
        rules = await self._accounts.set_rules(
            request.account_id,
            rules=parse_account_rules(request.rules),
            note=parse_note(request.audit),
        )
        return account_service_pb2.SetAccountRulesResponse(rules=render_account_rules(rules))

    @override
    async def GrantCredits(
        self, request: account_service_pb2.GrantCreditsRequest, context: Context
    ) -> account_service_pb2.GrantCreditsResponse:
        available_micros = await self._accounts.adjust(parse_grant(request))
        return account_service_pb2.GrantCreditsResponse(available_micros=available_micros)

    @override
    async def CorrectBalance(
        self, request: account_service_pb2.CorrectBalanceRequest, context: Context
    ) -> account_service_pb2.CorrectBalanceResponse:
        available_micros = await self._accounts.adjust(parse_correction(request))
        return account_service_pb2.CorrectBalanceResponse(available_micros=available_micros)

    @override
    async def GetStatement(
        self, request: account_service_pb2.GetStatementRequest, context: Context
    ) -> account_service_pb2.GetStatementResponse:
        lines, token = await get_statement(
            parse_statement_range(request), accounts=self._accounts, statements=self._statements
        )
        return account_service_pb2.GetStatementResponse(
            lines=map(render_statement_line, lines), next_page_token=token
        )
