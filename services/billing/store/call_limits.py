"""The slots of keys in PostgreSQL."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import BigInteger, Text, bindparam, cast, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from services.billing.domain import CALLS_PER_MINUTE, KeyCalls, SlotLease
from services.billing.tables import api_keys, call_limits
from services.common.postgres.batching import answer_apart, succeeded
from services.common.postgres.database import Connection, Pool, Query, fetch_within
from services.common.rate_limit.protocol import CallLease, Leased

_any_key = func.any(cast(bindparam("key_ids"), ARRAY(Text)))
_LOCKED = Query(
    select(
        call_limits.c.key_id,
        call_limits.c.cooling_micros,
        call_limits.c.cooling_counts,
        call_limits.c.held,
        api_keys.c.kind,
        api_keys.c.calls_per_minute,
    )
    .join_from(call_limits, api_keys, call_limits.c.key_id == api_keys.c.key_id)
    .where(call_limits.c.key_id == _any_key)
    .order_by(call_limits.c.key_id)
    .with_for_update(of=call_limits)
)
_ADD = Query(
    insert(call_limits)
    .from_select(
        ["key_id"], select(api_keys.c.key_id).where(api_keys.c.key_id == _any_key).order_by(api_keys.c.key_id)
    )
    .on_conflict_do_nothing()
)
_NOW = Query(
    select(cast(func.extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger).label("now_us"))
)
_CHANGE = Query(
    update(call_limits)
    .where(call_limits.c.key_id == bindparam("of_key_id"))
    .values({name: bindparam(f"new_{name}") for name in ("cooling_micros", "cooling_counts", "held")})
)


Decide = Callable[[KeyCalls, int], tuple[KeyCalls, CallLease | None]]


class SqlCallLimits:
    """The slots of keys: how often they were used, and who has leased them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def change(
        self,
        key_ids: Sequence[str],
        *,
        decide: Decide,
    ) -> Leased:
        """Changes the slots of keys under their locks, and returns the new leases.

        `decide` gets those of one key and the moment, in microseconds, and returns what they become.
        """
        answers = await answer_apart(
            partial(self._change, decide=decide), key_ids, name="lease_calls", name_of=str
        )
        changed = succeeded(answers)
        if not changed:
            raise next(answer for answer in answers if isinstance(answer, Exception))
        leases = {
            key_id: answer[1]
            for key_id, answer in zip(key_ids, answers, strict=True)
            if not isinstance(answer, Exception) and answer[1] is not None
        }
        return Leased(now_us=max(now_us for now_us, _ in changed), leases=leases)

    async def _change(self, key_ids: Sequence[str], *, decide: Decide) -> list[tuple[int, CallLease | None]]:
        """Returns for each key the moment, and what was leased of it."""
        async with self._pool.connection() as connection, connection.transaction():
            rows = await _lock(connection, key_ids)
            [clock] = await fetch_within(connection, _NOW)
            now_us = clock["now_us"]
            decided = {row["key_id"]: decide(_key_calls(row), now_us) for row in rows}
            changes = [_CHANGE.bind(**_new(calls)) for calls, lease in decided.values() if lease is not None]
            if changes:
                await connection.cursor().executemany(_CHANGE.sql, changes)
        return [(now_us, decided[key_id][1] if key_id in decided else None) for key_id in key_ids]


async def _lock(connection: Connection, key_ids: Sequence[str]) -> list[dict[str, Any]]:
    wanted = {"key_ids": list(key_ids)}
    rows = await fetch_within(connection, _LOCKED, **wanted)
    if len(rows) == len(key_ids):
        return rows
    await connection.execute(_ADD.sql, _ADD.bind(**wanted))
    return await fetch_within(connection, _LOCKED, **wanted)


def _key_calls(row: dict[str, Any]) -> KeyCalls:
    return KeyCalls(
        key_id=row["key_id"],
        calls_per_minute=row["calls_per_minute"] or CALLS_PER_MINUTE[row["kind"]],
        cooling=tuple(zip(row["cooling_micros"], row["cooling_counts"], strict=True)),
        held=tuple(_slot_lease(held) for held in row["held"]),
    )


def _new(calls: KeyCalls) -> dict[str, Any]:
    return {
        "of_key_id": calls.key_id,
        "new_cooling_micros": [moment for moment, _ in calls.cooling],
        "new_cooling_counts": [count for _, count in calls.cooling],
        "new_held": Jsonb([_stored(held) for held in calls.held]),
    }


def _slot_lease(stored: dict[str, Any]) -> SlotLease:
    return SlotLease(
        holder=stored["holder"],
        turn=stored["turn"],
        accounted_count=stored["accounted_count"],
        until_us=stored["until_micros"],
        slots=tuple((moment, count) for moment, count in stored["slots"]),
    )


def _stored(held: SlotLease) -> dict[str, Any]:
    # Stored names do not follow ours: processes of the previous release read the same rows.
    return {
        "holder": held.holder,
        "turn": held.turn,
        "accounted_count": held.accounted_count,
        "until_micros": held.until_us,
        "slots": held.slots,
    }
