from functools import partial

from services.billing.domain import LedgerPart
from services.billing.store.verification import SqlLedgerPages
from services.common.verification.checks import (
    NUMBER,
    ROWS_PER_PAGE_MAX,
    TEXT,
    Check,
    Verified,
    verify_page,
)

_KEYS = {
    LedgerPart.TRANSACTIONS: (TEXT, TEXT, NUMBER),
    LedgerPart.HOLDS: (TEXT,),
    LedgerPart.BALANCES: (TEXT, TEXT),
    LedgerPart.SPENDING: (TEXT, TEXT),
}
assert _KEYS.keys() == set(LedgerPart)
CHECKS = tuple(part.value for part in _KEYS)
AMOUNT_RULES = frozenset(
    {
        "transaction_not_zero",
        "running_balance",
        "hold_refunded",
        "balance_available",
        "balance_held",
        "balance_open_holds",
    }
)
"""Rules that compare micro-credits which the ledger owes somebody."""


async def verify_ledger(
    cursor: str | None, *, pages: SqlLedgerPages, rows_max: int = ROWS_PER_PAGE_MAX
) -> Verified:
    """Checks one page of the ledger: the first, or the one at the cursor that another page gave.

    Changes nothing. Refuses with INVALID_FIELD.
    """
    checks = {part.value: Check(read=partial(pages.page, part), key=key) for part, key in _KEYS.items()}
    return await verify_page(cursor, checks=checks, rows_max=rows_max)
