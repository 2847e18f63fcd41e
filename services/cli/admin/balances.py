"""What operators do to balances, and what moved them."""

from collections.abc import AsyncIterator

from reelgate.admin.v1 import account_service_pb2, account_service_pb2_grpc

from services.cli.admin.channel import open_admin_channel
from services.cli.admin.records import Note, StatementLine
from services.cli.admin.target import AdminTarget
from services.cli.admin.wire import to_note_message, to_record
from services.common.ids import new_id

STATEMENT_PAGE_LINES = 1_000


async def grant_credits(
    account_id: str, *, environment: str, amount_micros: int, note: Note, billing: AdminTarget
) -> int:
    """Adds credits once. Returns what can be spent now, in micro-credits. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        granted = await account_service_pb2_grpc.AccountServiceStub(channel).GrantCredits(
            account_service_pb2.GrantCreditsRequest(
                grant_id=new_id("grant"),
                account_id=account_id,
                environment=environment,
                amount_micros=amount_micros,
                audit=to_note_message(note),
            ),
            wait_for_ready=True,
        )
    return int(granted.available_micros)


async def correct_balance(
    account_id: str, *, environment: str, amount_micros: int, note: Note, billing: AdminTarget
) -> int:
    """Adds or, when negative, takes credits once. Returns what can be spent now, in micro-credits. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        corrected = await account_service_pb2_grpc.AccountServiceStub(channel).CorrectBalance(
            account_service_pb2.CorrectBalanceRequest(
                correction_id=new_id("corr"),
                account_id=account_id,
                environment=environment,
                amount_micros=amount_micros,
                audit=to_note_message(note),
            ),
            wait_for_ready=True,
        )
    return int(corrected.available_micros)


async def statement(
    account_id: str, *, environment: str, start: str | None, end: str | None, billing: AdminTarget
) -> AsyncIterator[StatementLine]:
    """Yields what moved a balance, oldest first, fetched part by part. Raises ServiceError."""
    after_version: int | None = 0
    async with open_admin_channel(billing) as channel:
        accounts = account_service_pb2_grpc.AccountServiceStub(channel)
        while after_version is not None:
            part = await accounts.GetStatement(
                account_service_pb2.GetStatementRequest(
                    account_id=account_id,
                    environment=environment,
                    start=start,
                    end=end,
                    after_version=after_version,
                    limit=STATEMENT_PAGE_LINES,
                ),
                wait_for_ready=True,
            )
            for line in part.lines:
                yield to_record(StatementLine, line)
            after_version = part.next_after_version if part.HasField("next_after_version") else None
