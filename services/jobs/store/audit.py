"""What operators did, in SQL. Every entry is written by the statement that makes the change."""

from typing import Any

from sqlalchemy import Integer, bindparam, select

from services.common.database import Pool, Query
from services.jobs.books import (
    AuditEntry,
)
from services.jobs.tables import audit


def _newest(*, of_subject: bool, before: bool) -> Query:
    page = select(audit)
    if of_subject:
        page = page.where(audit.c.subject_id == bindparam("subject_id"))
    if before:
        page = page.where(audit.c.number < bindparam("before_number"))
    return Query(page.order_by(audit.c.number.desc()).limit(bindparam("most", type_=Integer)))


_NEWEST = {
    (of_subject, before): _newest(of_subject=of_subject, before=before)
    for of_subject in (False, True)
    for before in (False, True)
}


class SqlAudit:
    """The port Audit, on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def newest(
        self, *, subject_id: str | None, before_number: int | None, limit: int
    ) -> list[AuditEntry]:
        """Returns changes from newest to oldest: of one subject only, those before `before_number` only."""
        values: dict[str, Any] = {"most": limit}
        if subject_id is not None:
            values["subject_id"] = subject_id
        if before_number is not None:
            values["before_number"] = before_number
        query = _NEWEST[subject_id is not None, before_number is not None]
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query.sql, query.bind(**values))
            return [AuditEntry(**row) for row in await cursor.fetchall()]
