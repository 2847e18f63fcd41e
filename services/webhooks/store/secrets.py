"""Signing secrets in PostgreSQL, each encrypted."""

from cryptography.fernet import Fernet
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from services.common.database import Pool, Query
from services.webhooks.tables import signing_secrets

_ENSURE_SECRET = Query(
    insert(signing_secrets)
    .values(account_id=bindparam("account_id"), sealed_secret=bindparam("sealed_secret"))
    .on_conflict_do_nothing()
)
_SECRET = Query(
    select(signing_secrets.c.sealed_secret).where(signing_secrets.c.account_id == bindparam("account_id"))
)


class SqlSigningSecrets:
    """Fulfils SigningSecrets, with Fernet (github.com/fernet/spec) over every secret."""

    def __init__(self, pool: Pool, fernet: Fernet) -> None:
        self._pool = pool
        self._fernet = fernet

    async def ensure(self, account_id: str, *, candidate: str) -> str:
        """See SigningSecrets."""
        bound = _ENSURE_SECRET.bind(
            account_id=account_id, sealed_secret=self._fernet.encrypt(candidate.encode())
        )
        async with self._pool.connection() as connection:
            await connection.execute(_ENSURE_SECRET.sql, bound)
            cursor = await connection.execute(_SECRET.sql, _SECRET.bind(account_id=account_id))
            [row] = await cursor.fetchall()
        return self.reveal(row["sealed_secret"])

    def reveal(self, sealed: bytes) -> str:
        """See SigningSecrets."""
        return self._fernet.decrypt(sealed).decode()
