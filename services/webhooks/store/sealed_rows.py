"""Everything that rests encrypted, in the order in which it is encrypted anew: by table, then by key.

Answers to idempotent requests are not among it: they are gone after a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import text

from services.common.audit.note import AuditNote
from services.common.postgres.database import Connection, Pool, Query, fetch_within
from services.webhooks.domain import Resealed

_ROTATED = ("sealed_secret", "next_sealed_secret", "previous_sealed_secret")


@dataclass(frozen=True)
class _Part:
    """Rows of a table in the order of one column of theirs."""

    table: str
    key: str
    columns: Sequence[str]
    condition: str = "true"

    def page(self) -> Query:
        shown = ", ".join((f"{self.key} AS key", *self.columns))
        return Query(
            text(f"""
            SELECT {shown} FROM {self.table} WHERE {self.condition} AND {self.key} > :after
            ORDER BY {self.key} LIMIT :most
            """)  # noqa: S608
        )

    def replace(self, column: str) -> Query:
        return Query(
            text(f"""
            UPDATE {self.table} SET {column} = :new WHERE {self.condition} AND {self.key} = :key AND {column} = :old
            """)  # noqa: S608
        )


_PARTS = {
    "live": _Part("account_secrets", "account_id", _ROTATED, "environment = 'live'"),
    "test": _Part("account_secrets", "account_id", _ROTATED, "environment = 'test'"),
    "endpoints": _Part("endpoints", "endpoint_id", _ROTATED),
    "listeners": _Part("listeners", "listener_id", _ROTATED[:1]),
    "former": _Part("signing_secrets", "account_id", _ROTATED[:1]),
}
_PAGES = {name: part.page() for name, part in _PARTS.items()}
_REPLACES = {(name, column): part.replace(column) for name, part in _PARTS.items() for column in part.columns}
_AUDIT = Query(
    text("""
    INSERT INTO audit (actor, action, subject_id, reason) VALUES (:actor, 'secrets.reseal', 'secrets', :reason)
    """)
)


class SqlSealedRows:
    """Fulfils SealedRows. Where to go on is a part's name and the key of its last row."""

    def __init__(self, pool: Pool, keys: Sequence[Fernet]) -> None:
        """`keys` are the newest first."""
        self._pool = pool
        self._newest = keys[0]
        self._all = MultiFernet(keys)

    async def reseal(self, *, after: str, rows_max: int, note: AuditNote) -> Resealed:
        """Encrypts a batch with the newest key, where it is not yet.

        Rows that change meanwhile are skipped: they already use the newest key.
        """
        name, _, last = after.partition(":")
        name = name if name in _PARTS else next(iter(_PARTS))
        async with self._pool.connection() as connection:
            if not after:
                await connection.execute(_AUDIT.sql, _AUDIT.bind(**vars(note)))
            rows = await fetch_within(connection, _PAGES[name], after=last, most=rows_max)
            outcomes = [await self._reseal_row(connection, name, row) for row in rows]
        return Resealed(
            examined_count=len(rows),
            resealed_count=outcomes.count(True),
            unreadable_count=outcomes.count(None),
            next_page_token=f"{name}:{rows[-1]['key']}" if len(rows) == rows_max else _following(name),
        )

    async def _reseal_row(self, connection: Connection, name: str, row: dict[str, Any]) -> bool | None:
        """Returns whether anything was sealed anew; None when something cannot be opened."""
        try:
            anew = {column: self._anew(row[column]) for column in _PARTS[name].columns if row[column]}
        except InvalidToken:
            return None
        changed = {column: sealed for column, sealed in anew.items() if sealed is not None}
        for column, sealed in changed.items():
            query = _REPLACES[name, column]
            await connection.execute(query.sql, query.bind(key=row["key"], old=row[column], new=sealed))
        return bool(changed)

    def _anew(self, sealed: bytes) -> bytes | None:
        try:
            self._newest.decrypt(sealed)
        except InvalidToken:
            return self._all.rotate(sealed)
        return None


def _following(name: str) -> str:
    names = list(_PARTS)
    place = names.index(name) + 1
    return f"{names[place]}:" if place < len(names) else ""
