"""API keys in PostgreSQL."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Interval,
    Select,
    bindparam,
    case,
    func,
    insert,
    null,
    select,
    tuple_,
    union_all,
    update,
)

from services.billing.domain import (
    ACCOUNT_JOBS_AT_ONCE,
    CALLS_PER_MINUTE,
    Key,
    KeyRules,
    NewKey,
    SpendLimits,
)
from services.billing.refusals import key_disabled, key_not_found
from services.billing.store.spending import SPENDING_COLUMNS, set_limits, spending_of
from services.billing.tables import accounts, api_keys, spending
from services.common.audit.note import AuditNote
from services.common.audit.store import write_audit
from services.common.auth.authentication import Caller
from services.common.postgres.database import Connection, Pool, Query, fetch, fetch_within

_KEY_COLUMNS = ("key_id", "account_id", "environment", "hint", "created_at", "disabled_at")
_RULE_COLUMNS = ("kind", "calls_per_minute", "jobs_at_once", "moderation_profiles")
_overlaps = api_keys.c.previous_until > func.now()
_KEYS = select(
    *(api_keys.c[name] for name in (*_KEY_COLUMNS, *_RULE_COLUMNS)),
    api_keys.c.models,
    case((_overlaps, api_keys.c.previous_until)).label("previous_until"),
    *SPENDING_COLUMNS,
).join_from(
    api_keys,
    spending,
    (spending.c.subject_id == api_keys.c.key_id) & (spending.c.environment == api_keys.c.environment),
)
_of_key = api_keys.c.key_id == bindparam("of_key_id")
_GET = Query(_KEYS.where(_of_key))
_GET_LOCKED = Query(_KEYS.where(_of_key).with_for_update(of=api_keys, key_share=True))
_named = select(api_keys.c.created_at).where(api_keys.c.key_id == bindparam("before_id"))
_is_older = (bindparam("before_id") == "") | (
    tuple_(api_keys.c.created_at, api_keys.c.key_id)
    < tuple_(_named.scalar_subquery(), bindparam("before_id"))
)
_OF_ACCOUNT = Query(
    _KEYS.where(api_keys.c.account_id == bindparam("of_account_id"), _is_older)
    .order_by(api_keys.c.created_at.desc(), api_keys.c.key_id.desc())
    .limit(bindparam("keys_max"))
)
_ADD_KEY = Query(
    insert(api_keys).values(
        {name: bindparam(name) for name in ("key_id", "account_id", "environment", "key_sha256", "hint")}
    )
)
_ADD_SPENDING = Query(
    insert(spending).values(
        subject_id=bindparam("key_id"),
        account_id=bindparam("account_id"),
        environment=bindparam("environment"),
    )
)
_ROTATE = Query(
    update(api_keys)
    .where(_of_key, api_keys.c.disabled_at.is_(None))
    .values(
        key_sha256=bindparam("new_sha256"),
        hint=bindparam("new_hint"),
        previous_sha256=api_keys.c.key_sha256,
        previous_until=func.now() + bindparam("overlap", type_=Interval),
    )
    .returning(api_keys.c.key_id)
)
_SET_MODELS = Query(update(api_keys).where(_of_key).values(models=bindparam("new_models")))
_SET_RULES = Query(
    update(api_keys).where(_of_key).values({name: bindparam(f"new_{name}") for name in _RULE_COLUMNS})
)
_DISABLE = Query(
    update(api_keys)
    .where(_of_key, api_keys.c.disabled_at.is_(None))
    .values(disabled_at=func.now(), previous_sha256=null(), previous_until=null())
    .returning(api_keys.c.key_id)
)


def _callers(*conditions: ColumnElement[bool]) -> Select[Any]:
    return (
        select(
            api_keys.c.key_id,
            api_keys.c.account_id,
            api_keys.c.environment,
            accounts.c.contract,
            api_keys.c.models,
            *(api_keys.c[name] for name in _RULE_COLUMNS),
            accounts.c.jobs_at_once.label("account_jobs_at_once"),
            accounts.c.moderation_profile,
        )
        .join_from(api_keys, accounts, api_keys.c.account_id == accounts.c.account_id)
        .where(*conditions, api_keys.c.disabled_at.is_(None), accounts.c.suspended_at.is_(None))
    )


# Two branches, so that each hash is looked for in its own index.
_FIND_KEY = Query(
    union_all(
        _callers(api_keys.c.key_sha256 == bindparam("sha256")),
        _callers(api_keys.c.previous_sha256 == bindparam("sha256"), _overlaps),
    )
)


class SqlKeys:
    """API keys."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, key: NewKey, *, note: AuditNote) -> Key:
        """Stores a new key."""
        of_key = {"key_id": key.key_id, "account_id": key.account_id, "environment": key.environment}
        async with self._pool.connection() as connection, connection.transaction():
            bound = _ADD_KEY.bind(**of_key, key_sha256=key.sha256, hint=key.hint)
            await connection.execute(_ADD_KEY.sql, bound)
            await connection.execute(_ADD_SPENDING.sql, _ADD_SPENDING.bind(**of_key))
            details = {**of_key, "hint": key.hint}
            await write_audit(connection, note, action="key.create", subject_id=key.key_id, details=details)
            return await _get(connection, key.key_id)

    async def of_account(self, account_id: str, *, before_id: str, keys_max: int) -> list[Key]:
        """Returns the newest keys of an account that are older than one ("": the newest of all), newest first."""
        rows = await fetch(
            self._pool, _OF_ACCOUNT, of_account_id=account_id, before_id=before_id, keys_max=keys_max
        )
        return [_key(row) for row in rows]

    async def get(self, key_id: str) -> Key:
        """Returns a key. Refuses with KEY_NOT_FOUND."""
        async with self._pool.connection() as connection:
            return await _get(connection, key_id)

    async def rotate(
        self, key_id: str, *, sha256: bytes, hint: str, overlap_seconds: int, note: AuditNote
    ) -> Key:
        """Gives a key a new secret; the one before works for the overlap. Refuses with KEY_DISABLED."""
        new = {"new_sha256": sha256, "new_hint": hint, "overlap": timedelta(seconds=overlap_seconds)}
        async with self._pool.connection() as connection, connection.transaction():
            if not await fetch_within(connection, _ROTATE, of_key_id=key_id, **new):
                raise key_disabled(key_id)
            details = {"hint": hint, "overlap_seconds": overlap_seconds}
            await write_audit(connection, note, action="key.rotate", subject_id=key_id, details=details)
            return await _get(connection, key_id)

    async def set_limits(self, key_id: str, *, limits: SpendLimits, note: AuditNote) -> Key:
        """Replaces what a key may spend, from the next hold on. Repeating it changes nothing. Refuses with KEY_NOT_FOUND."""
        async with self._pool.connection() as connection, connection.transaction():
            key = await _get(connection, key_id)
            spending_now = await set_limits(
                connection,
                limits,
                subject_id=key_id,
                account_id=key.account_id,
                environment=key.environment,
                action="key.set_limits",
                note=note,
            )
            assert spending_now is not None
            return replace(key, spending=spending_now)

    async def set_models(self, key_id: str, *, models: Iterable[str], note: AuditNote) -> Key:
        """Replaces which models a key may use; none named means all. Repeating it, in any order, changes nothing.

        Refuses with KEY_NOT_FOUND.
        """
        wanted = tuple(sorted(models))
        async with self._pool.connection() as connection, connection.transaction():
            key = await _get(connection, key_id, query=_GET_LOCKED)
            if key.models == wanted:
                return key
            bound = _SET_MODELS.bind(of_key_id=key_id, new_models=list(wanted))
            await connection.execute(_SET_MODELS.sql, bound)
            details = {"before": key.models, "after": wanted}
            await write_audit(connection, note, action="key.set_models", subject_id=key_id, details=details)
            return replace(key, models=wanted)

    async def set_rules(self, key_id: str, *, rules: KeyRules, note: AuditNote) -> Key:
        """Replaces how a key may be used. Repeating it changes nothing. Refuses with KEY_NOT_FOUND."""
        async with self._pool.connection() as connection, connection.transaction():
            key = await _get(connection, key_id, query=_GET_LOCKED)
            if key.rules == rules:
                return key
            new = {f"new_{name}": value for name, value in vars(rules).items()}
            new["new_moderation_profiles"] = list(rules.moderation_profiles)
            await connection.execute(_SET_RULES.sql, _SET_RULES.bind(of_key_id=key_id, **new))
            details = {"before": vars(key.rules), "after": vars(rules)}
            await write_audit(connection, note, action="key.set_rules", subject_id=key_id, details=details)
            return replace(key, rules=rules)

    async def disable(self, key_id: str, *, note: AuditNote) -> Key:
        """Stops a key from working, with every secret it has. Repeating it changes nothing. Refuses with KEY_NOT_FOUND."""
        async with self._pool.connection() as connection, connection.transaction():
            if await fetch_within(connection, _DISABLE, of_key_id=key_id):
                await write_audit(connection, note, action="key.disable", subject_id=key_id, details={})
            return await _get(connection, key_id)

    async def find(self, sha256: bytes) -> Caller | None:
        """Returns whose working key has this hash, or had it until a rotation whose overlap has not ended."""
        rows = await fetch(self._pool, _FIND_KEY, sha256=sha256)
        return _caller(rows[0]) if rows else None


async def _get(connection: Connection, key_id: str, *, query: Query = _GET) -> Key:
    rows = await fetch_within(connection, query, of_key_id=key_id)
    if not rows:
        raise key_not_found(key_id)
    return _key(rows[0])


def _key(row: dict[str, Any]) -> Key:
    return Key(
        **{name: row[name] for name in _KEY_COLUMNS},
        models=tuple(row["models"]),
        rules=_rules(row),
        spending=spending_of(row),
        previous_until=row["previous_until"],
    )


def _rules(row: dict[str, Any]) -> KeyRules:
    chosen = {name: row[name] for name in _RULE_COLUMNS}
    return KeyRules(**{**chosen, "moderation_profiles": tuple(row["moderation_profiles"])})


def _caller(row: dict[str, Any]) -> Caller:
    rules = _rules(row)
    account_jobs_at_once = row["account_jobs_at_once"] or ACCOUNT_JOBS_AT_ONCE
    return Caller(
        key_id=row["key_id"],
        account_id=row["account_id"],
        environment=row["environment"],
        contract=row["contract"],
        models=tuple(row["models"]),
        kind=rules.kind,
        calls_per_minute=rules.calls_per_minute or CALLS_PER_MINUTE[rules.kind],
        account_jobs_at_once=account_jobs_at_once,
        key_jobs_at_once=rules.jobs_at_once or account_jobs_at_once,
        moderation_profile=row["moderation_profile"],
        moderation_profiles=rules.moderation_profiles,
    )
