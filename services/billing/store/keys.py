"""API keys in PostgreSQL."""

from sqlalchemy import bindparam, func, insert, select, update

from services.billing.domain import Key, NewKey
from services.billing.store.rows import fetch
from services.billing.tables import accounts, api_keys
from services.common.authentication import Caller
from services.common.database import Pool, Query

_KEY_COLUMNS = (
    api_keys.c.key_id, api_keys.c.environment, api_keys.c.hint, api_keys.c.created_at, api_keys.c.disabled_at,
)  # fmt: skip
_ADD_KEY = Query(
    insert(api_keys)
    .values({name: bindparam(name) for name in ("key_id", "account_id", "environment", "key_sha256", "hint")})
    .returning(*_KEY_COLUMNS)
)
_KEYS_OF_ACCOUNT = Query(
    select(*_KEY_COLUMNS)
    .where(api_keys.c.account_id == bindparam("account_id"))
    .order_by(api_keys.c.created_at.desc(), api_keys.c.key_id.desc())
    .limit(bindparam("keys_max"))
)
_DISABLE_KEY = Query(
    update(api_keys)
    .where(api_keys.c.key_id == bindparam("key_id"))
    .values(disabled_at=func.coalesce(api_keys.c.disabled_at, func.now()))
    .returning(*_KEY_COLUMNS)
)
_FIND_KEY = Query(
    select(api_keys.c.key_id, api_keys.c.account_id, api_keys.c.environment, accounts.c.contract)
    .join_from(api_keys, accounts, api_keys.c.account_id == accounts.c.account_id)
    .where(
        api_keys.c.key_sha256 == bindparam("key_sha256"),
        api_keys.c.disabled_at.is_(None),
        accounts.c.suspended_at.is_(None),
    )
)


class SqlKeys:
    """Fulfils Keys."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, key: NewKey) -> Key:
        """See Keys."""
        [row] = await fetch(
            self._pool,
            _ADD_KEY,
            key_id=key.key_id,
            account_id=key.account_id,
            environment=key.environment,
            key_sha256=key.sha256,
            hint=key.hint,
        )
        return Key(**row)

    async def of_account(self, account_id: str, *, keys_max: int) -> list[Key]:
        """See Keys."""
        rows = await fetch(self._pool, _KEYS_OF_ACCOUNT, account_id=account_id, keys_max=keys_max)
        return [Key(**row) for row in rows]

    async def disable(self, key_id: str) -> Key | None:
        """See Keys."""
        rows = await fetch(self._pool, _DISABLE_KEY, key_id=key_id)
        return Key(**rows[0]) if rows else None

    async def find(self, sha256: bytes) -> Caller | None:
        """See Keys."""
        rows = await fetch(self._pool, _FIND_KEY, key_sha256=sha256)
        return Caller(**rows[0]) if rows else None
