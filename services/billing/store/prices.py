"""Versions of prices in PostgreSQL."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import groupby
from typing import Any

from psycopg.errors import UniqueViolation
from sqlalchemy import DateTime, Interval, Text, bindparam, cast, exists, func, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_or_not

from services.billing.domain import NewPrices, Price, PriceRefusal, PriceVersion
from services.billing.tables import price_versions, prices
from services.common.audit.store import write_audit
from services.common.clock import rfc3339
from services.common.postgres.database import Connection, Pool, Query, fetch

_PRICE_COLUMNS = ("model", "resolution", "environment", "micros_per_second")

_now = func.statement_timestamp()
_valid_from = func.coalesce(cast(bindparam("valid_from"), DateTime(timezone=True)), _now)
_ADD_VERSION = Query(
    insert_or_not(price_versions)
    .from_select(
        ("version", "valid_from"),
        select(cast(bindparam("version"), Text), _valid_from).where(_valid_from >= _now),
    )
    .on_conflict_do_nothing(index_elements=("version",))
    .returning(price_versions.c.valid_from)
)
_ADD_PRICE = Query(
    insert(prices).values({name: bindparam(name) for name in ("version", "valid_from", *_PRICE_COLUMNS)})
)
_PRICES = select(
    prices.c.version, prices.c.valid_from, *(prices.c[name] for name in _PRICE_COLUMNS)
).order_by(
    prices.c.valid_from.desc(), prices.c.version, prices.c.environment, prices.c.model, prices.c.resolution
)
_VERSION = Query(_PRICES.where(prices.c.version == bindparam("version")))

_held, _later = prices.alias("held"), prices.alias("later")
_replaced = exists().where(
    *(_later.c[name] == _held.c[name] for name in ("model", "resolution", "environment")),
    _later.c.valid_from > _held.c.valid_from,
    _later.c.valid_from <= _now - cast(bindparam("replaced_for"), Interval),
)
_LISTED = Query(
    _PRICES.where(prices.c.version.in_(select(_held.c.version).where(~_replaced))).limit(
        bindparam("prices_max")
    )
)


class SqlPrices:
    """Versions of prices."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, new: NewPrices) -> PriceVersion | PriceRefusal:
        """Stores a version, unless there is one of that name. Returns the one there is then."""
        try:
            async with self._pool.connection() as connection, connection.transaction():
                await _add(connection, new)
        except UniqueViolation as error:
            if error.diag.constraint_name == "prices_moment_key":
                return PriceRefusal.MOMENT_TAKEN
            raise
        kept = _versions(await fetch(self._pool, _VERSION, version=new.version))
        return kept[0] if kept else PriceRefusal.MOMENT_PAST

    async def listed(self, *, replaced_for: timedelta, prices_max: int) -> list[PriceVersion]:
        """Returns the versions, oldest first, that have a present, future or recently replaced price.

        It returns at most the newest `prices_max` of their prices.
        """
        rows = await fetch(self._pool, _LISTED, replaced_for=replaced_for, prices_max=prices_max)
        return _versions(rows)[::-1]


async def _add(connection: Connection, new: NewPrices) -> None:
    bound = _ADD_VERSION.bind(version=new.version, valid_from=new.valid_from)
    row = await (await connection.execute(_ADD_VERSION.sql, bound)).fetchone()
    if row is None:
        return
    of_version = {"version": new.version, "valid_from": row["valid_from"]}
    rows = [_ADD_PRICE.bind(**of_version, **vars(price)) for price in new.prices]
    await connection.cursor().executemany(_ADD_PRICE.sql, rows)
    details = {"valid_from": rfc3339(row["valid_from"]), "prices": len(rows)}
    await write_audit(connection, new.note, action="prices.set", subject_id=new.version, details=details)


def _versions(rows: Iterable[Mapping[str, Any]]) -> list[PriceVersion]:
    return [
        PriceVersion(
            version=version,
            valid_from=valid_from,
            prices=tuple(Price(**{name: row[name] for name in _PRICE_COLUMNS}) for row in found),
        )
        for (version, valid_from), found in groupby(rows, key=lambda row: (row["version"], row["valid_from"]))
    ]
