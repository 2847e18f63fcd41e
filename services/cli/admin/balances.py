"""What operators do to balances, and what moved them. Every function raises ServiceError."""

from collections.abc import AsyncIterator

from reelgate.admin.v1 import account_service_pb2 as pb
from reelgate.admin.v1.account_service_pb2_grpc import AccountServiceStub
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.statement_pb2 import StatementLine

from services.cli.admin.channel import call, open_admin_channel
from services.cli.admin.target import AdminTarget
from services.common.ids import new_id
from services.common.rpc.enums import environment_value

STATEMENT_PAGE_LINES = 1_000


async def grant_credits(
    account_id: str, *, environment: str, amount_micros: int, note: AuditNote, billing: AdminTarget
) -> int:
    """Adds credits once. Returns what can be spent now, in micro-credits."""
    request = pb.GrantCreditsRequest(
        grant_id=new_id("grant"),
        account_id=account_id,
        environment=environment_value(environment),
        amount_micros=amount_micros,
        audit=note,
    )
    granted = await call(billing, lambda channel: AccountServiceStub(channel).GrantCredits, request)
    return granted.available_micros


async def correct_balance(
    account_id: str, *, environment: str, amount_micros: int, note: AuditNote, billing: AdminTarget
) -> int:
    """Adds or, when negative, takes credits once. Returns what can be spent now, in micro-credits."""
    request = pb.CorrectBalanceRequest(
        correction_id=new_id("corr"),
        account_id=account_id,
        environment=environment_value(environment),
        amount_micros=amount_micros,
        audit=note,
    )
    corrected = await call(billing, lambda channel: AccountServiceStub(channel).CorrectBalance, request)
    return corrected.available_micros


async def statement(
    account_id: str, *, environment: str, start: str | None, end: str | None, billing: AdminTarget
) -> AsyncIterator[StatementLine]:
    """Yields what moved a balance, oldest first, fetched page by page."""
    request = pb.GetStatementRequest(
        account_id=account_id,
        environment=environment_value(environment),
        start=start,
        end=end,
        page_size=STATEMENT_PAGE_LINES,
    )
    async with open_admin_channel(billing) as channel:
        accounts, more = AccountServiceStub(channel), True
        while more:
            page = await accounts.GetStatement(request, wait_for_ready=True)
            for line in page.lines:
                yield line
            request.page_token, more = page.next_page_token, bool(page.next_page_token)
