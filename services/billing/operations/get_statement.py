from dataclasses import replace

from services.billing.domain import StatementLine, StatementRange, account_not_found
from services.billing.ports import Accounts, Statements


async def get_statement(
    wanted: StatementRange, *, accounts: Accounts, statements: Statements
) -> tuple[list[StatementLine], int | None]:
    """Returns the first movements of a range, and the version after which to continue, or None after the last.

    Refuses with ACCOUNT_NOT_FOUND.
    """
    if await accounts.contract(wanted.account_id) is None:
        raise account_not_found(wanted.account_id)
    lines = await statements.lines(replace(wanted, lines_max=wanted.lines_max + 1))
    if len(lines) <= wanted.lines_max:
        return lines, None
    page = lines[: wanted.lines_max]
    return page, page[-1].version
