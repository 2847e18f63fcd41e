"""Who did what, in PostgreSQL: written in the transaction that does it."""

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import Text, bindparam, cast, insert, select

from services.billing.domain import AuditEntry, AuditNote
from services.billing.store.rows import fetch
from services.billing.tables import audit
from services.common.database import Connection, Pool, Query

_WRITE = Query(
    insert(audit).values(
        {name: bindparam(name) for name in ("actor", "action", "subject_id", "reason", "details")}
    )
)
_ENTRIES = (
    select(
        audit.c.number,
        audit.c.occurred_at,
        audit.c.actor,
        audit.c.action,
        audit.c.subject_id,
        audit.c.reason,
        cast(audit.c.details, Text).label("details_json"),
    )
    .where(audit.c.number < bindparam("before_number"))
    .order_by(audit.c.number.desc())
    .limit(bindparam("entries_max"))
)
_PAGE = Query(_ENTRIES)
_PAGE_OF_SUBJECT = Query(_ENTRIES.where(audit.c.subject_id == bindparam("of_subject_id")))


async def write_audit(
    connection: Connection, note: AuditNote, *, action: str, subject_id: str, details: Mapping[str, Any]
) -> None:
    """Writes an entry in the connection's transaction."""
    bound = _WRITE.bind(
        actor=note.actor,
        action=action,
        subject_id=subject_id,
        reason=note.reason,
        details=Jsonb(dict(details)),
    )
    await connection.execute(_WRITE.sql, bound)


class SqlAuditLog:
    """Fulfils AuditLog."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, *, subject_id: str | None, before_number: int, entries_max: int) -> list[AuditEntry]:
        """See AuditLog."""
        query = _PAGE if subject_id is None else _PAGE_OF_SUBJECT
        chosen = {} if subject_id is None else {"of_subject_id": subject_id}
        rows = await fetch(self._pool, query, before_number=before_number, entries_max=entries_max, **chosen)
        return [AuditEntry(**row) for row in rows]
