"""The table of a service's audit entries. Each service has one of its own, in its own database."""

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text, bindparam, cast, insert, select
from sqlalchemy.dialects.postgresql import JSONB

from services.common.audit.note import AuditEntry, AuditNote
from services.common.postgres.database import Connection, Pool, Query, fetch

NUMBER_MAX = 2**63 - 1

audit = Table(
    "audit",
    MetaData(),
    Column("number", BigInteger, primary_key=True),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", JSONB, nullable=False),
)

_WRITE = Query(
    insert(audit).values(
        {name: bindparam(name) for name in ("actor", "action", "subject_id", "reason", "details")}
    )
)
_ENTRIES = (
    select(
        *(column for column in audit.c if column is not audit.c.details),
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
    """Writes an entry in the connection's transaction, which makes the change itself."""
    bound = _WRITE.bind(
        actor=note.actor,
        action=action,
        subject_id=subject_id,
        reason=note.reason,
        details=Jsonb(dict(details)),
    )
    await connection.execute(_WRITE.sql, bound)


class SqlAuditLog:
    """The audit entries of one service."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(
        self, *, subject_id: str | None, before_number: int | None, entries_max: int
    ) -> list[AuditEntry]:
        """Returns the newest entries before a number (None: the newest of all), of one subject or (None) of all."""
        query = _PAGE if subject_id is None else _PAGE_OF_SUBJECT
        chosen = {} if subject_id is None else {"of_subject_id": subject_id}
        rows = await fetch(
            self._pool, query, before_number=before_number or NUMBER_MAX, entries_max=entries_max, **chosen
        )
        return [AuditEntry(**row) for row in rows]
