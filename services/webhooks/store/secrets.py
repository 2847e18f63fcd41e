"""The signing secrets of accounts in PostgreSQL, each encrypted. What an operator changes is audited in its statement."""

from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import text

from services.common.audit.note import AuditNote
from services.common.postgres.database import Pool, Query, fetch
from services.webhooks.domain import OVERLAP_HOURS, Signing
from services.webhooks.refusals import signing_not_found, signing_not_rotating

_SHOWN = """account_id, environment, is_signing, next_sealed_secret IS NOT NULL AS is_rotating,
    CASE WHEN previous_until > now() THEN previous_until END AS previous_until"""
_THIS = "account_id = :account_id AND environment = :environment"
_ENSURE = Query(
    text("""
    INSERT INTO account_secrets (account_id, environment, sealed_secret)
    VALUES (:account_id, :environment, :sealed) ON CONFLICT (account_id, environment) DO NOTHING
    """)
)
_GET = Query(text(f"SELECT {_SHOWN} FROM account_secrets WHERE {_THIS}"))  # noqa: S608


def _audited(action: str, change: str, *, condition: str = "true", details: str = "") -> Query:
    return Query(
        text(f"""
        WITH changed AS (
            UPDATE account_secrets SET {change} WHERE {_THIS} AND {condition} RETURNING {_SHOWN}
        ), written AS (
            INSERT INTO audit (actor, action, subject_id, reason, details)
            SELECT :actor, '{action}', account_id, :reason, jsonb_build_object('environment', environment{details})
            FROM changed
        )
        SELECT * FROM changed
        """)  # noqa: S608
    )


_ROTATE = _audited("signing_secret.rotate", "next_sealed_secret = :sealed, updated_at = now()")
_CONFIRM = _audited(
    "signing_secret.confirm",
    f"""previous_sealed_secret = CASE WHEN next_sealed_secret IS NULL
            THEN previous_sealed_secret ELSE sealed_secret END,
        previous_until = CASE WHEN next_sealed_secret IS NULL
            THEN previous_until ELSE now() + interval '{OVERLAP_HOURS} hours' END,
        sealed_secret = coalesce(next_sealed_secret, sealed_secret), next_sealed_secret = NULL, updated_at = now()""",
    condition="(next_sealed_secret IS NOT NULL OR previous_until > now())",
)
_SWITCH = _audited(
    "signing.switch",
    "is_signing = :is_signing, updated_at = now()",
    details=", 'is_signing', is_signing",
)


class SqlSigningSecrets:
    """The secrets that sign for accounts, one for each environment, encrypted wherever they rest."""

    def __init__(self, pool: Pool, fernet: Fernet | MultiFernet) -> None:
        self._pool = pool
        self._fernet = fernet

    async def ensure(self, account_id: str, *, environment: str, candidate: str) -> bool:
        """Makes the candidate the secret of an account, unless it has one. Returns whether it did."""
        bound = _ENSURE.bind(account_id=account_id, environment=environment, sealed=self._seal(candidate))
        async with self._pool.connection() as connection:
            return (await connection.execute(_ENSURE.sql, bound)).rowcount > 0

    async def get(self, account_id: str, *, environment: str) -> Signing:
        """Returns how the callbacks of an account are signed. Refuses with ACCOUNT_NOT_FOUND."""
        return await self._one(_GET, account_id, environment)

    async def rotate(self, account_id: str, *, environment: str, secret: str, note: AuditNote) -> Signing:
        """Adds a secret to be confirmed, in place of any other unconfirmed one. Refuses with ACCOUNT_NOT_FOUND."""
        return await self._one(_ROTATE, account_id, environment, sealed=self._seal(secret), **vars(note))

    async def confirm(self, account_id: str, *, environment: str, note: AuditNote) -> Signing:
        """Lets the new secret sign first; the old one stays beside it for OVERLAP_HOURS. Repeating it changes nothing.

        Refuses with ACCOUNT_NOT_FOUND or SIGNING_NOT_ROTATING.
        """
        of_account = {"account_id": account_id, "environment": environment}
        rows = await fetch(self._pool, _CONFIRM, **of_account, **vars(note))
        if rows:
            return Signing(**rows[0])
        await self.get(account_id, environment=environment)
        raise signing_not_rotating(account_id, environment)

    async def switch(
        self, account_id: str, *, environment: str, is_signing: bool, note: AuditNote
    ) -> Signing:
        """Says whether callbacks are signed, where the contract leaves that open. Refuses with ACCOUNT_NOT_FOUND."""
        return await self._one(_SWITCH, account_id, environment, is_signing=is_signing, **vars(note))

    def reveal(self, sealed: bytes) -> str:
        """Returns a secret that was stored."""
        return self._fernet.decrypt(sealed).decode()

    def _seal(self, secret: str) -> bytes:
        return self._fernet.encrypt(secret.encode())

    async def _one(self, query: Query, account_id: str, environment: str, **values: Any) -> Signing:
        rows = await fetch(self._pool, query, account_id=account_id, environment=environment, **values)
        if not rows:
            raise signing_not_found(account_id)
        return Signing(**rows[0])
