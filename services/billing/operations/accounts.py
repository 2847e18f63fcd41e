"""What operators do with accounts, where a rule is needed beside the store."""

from collections.abc import Sequence
from dataclasses import replace

from services.billing.domain import NewAccount, StatementLine, StatementRange
from services.billing.store.accounts import SqlAccounts
from services.billing.store.statements import SqlStatements
from services.common.audit.note import AuditNote
from services.common.ids import new_id
from services.common.paging import cut


async def create_account(*, name: str, contract: str, note: AuditNote, accounts: SqlAccounts) -> str:
    """Opens an account and returns its id. Each call opens another one.

    Its balances in both environments are empty, and TEST_DAY_MICROS is what it may spend in a day in test.
    """
    account = NewAccount(account_id=new_id("acct"), name=name, contract=contract)
    await accounts.add(account, note=note)
    return account.account_id


async def get_statement(
    wanted: StatementRange, *, accounts: SqlAccounts, statements: SqlStatements
) -> tuple[Sequence[StatementLine], str]:
    """Returns the first movements of a range, and the token of the next page, or "" after the last.

    Refuses with ACCOUNT_NOT_FOUND.
    """
    await accounts.contract(wanted.account_id)
    lines = await statements.lines(replace(wanted, lines_max=wanted.lines_max + 1))
    return cut(lines, wanted.lines_max, lambda line: str(line.version))
