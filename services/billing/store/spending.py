"""What accounts and keys may spend, and what they have, in PostgreSQL.

Both change only under the lock of the balance they belong to, so a limit counts from the next hold on.
"""

from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Date, Text, bindparam, case, cast, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from services.billing.domain import Spending, SpendLimits
from services.billing.tables import spending
from services.common.audit.note import AuditNote
from services.common.audit.store import write_audit
from services.common.postgres.database import Connection, Query, fetch_within

_LIMITS = ("per_job_micros", "per_day_micros", "per_month_micros")
_now = func.timezone("UTC", func.now())
# What was spent in an earlier day or month stays in the row until the next hold.
SPENDING_COLUMNS = (
    *(spending.c[name] for name in _LIMITS),
    case((spending.c.day == cast(_now, Date), spending.c.day_micros), else_=0).label("day_micros"),
    case(
        (spending.c.month == cast(func.date_trunc("month", _now), Date), spending.c.month_micros), else_=0
    ).label("month_micros"),
)
_of_subject = (
    spending.c.subject_id == bindparam("of_subject_id"),
    spending.c.account_id == bindparam("of_account_id"),
    spending.c.environment == bindparam("of_environment"),
)
_LOCK_BALANCE = Query(
    select(
        func.lock_balances(
            cast(bindparam("account_ids"), ARRAY(Text)), cast(bindparam("environments"), ARRAY(Text))
        )
    )
)
_SPENDING = Query(select(*SPENDING_COLUMNS).where(*_of_subject))
_SET_LIMITS = Query(
    update(spending).where(*_of_subject).values({name: bindparam(f"new_{name}") for name in _LIMITS})
)


def spending_of(row: dict[str, Any]) -> Spending:
    """Returns what a row with SPENDING_COLUMNS tells."""
    return Spending(
        limits=SpendLimits(**{name: row[name] for name in _LIMITS}),
        day_micros=row["day_micros"],
        month_micros=row["month_micros"],
    )


async def set_limits(
    connection: Connection,
    limits: SpendLimits,
    *,
    subject_id: str,
    account_id: str,
    environment: str,
    action: str,
    note: AuditNote,
) -> Spending | None:
    """Replaces the limits of an account or key in the connection's transaction, with an audit entry if they differ.

    Returns None if the account or key does not exist.
    """
    subject = {
        "of_subject_id": subject_id, "of_account_id": account_id, "of_environment": environment,
    }  # fmt: skip
    await fetch_within(connection, _LOCK_BALANCE, account_ids=[account_id], environments=[environment])
    rows = await fetch_within(connection, _SPENDING, **subject)
    if not rows:
        return None
    before = spending_of(rows[0])
    if before.limits == limits:
        return before
    changed = {f"new_{name}": micros for name, micros in asdict(limits).items()}
    await connection.execute(_SET_LIMITS.sql, _SET_LIMITS.bind(**subject, **changed))
    details = {"environment": environment, "before": asdict(before.limits), "after": asdict(limits)}
    await write_audit(connection, note, action=action, subject_id=subject_id, details=details)
    return replace(before, limits=limits)
