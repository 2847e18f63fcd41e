"""The ledger's holds in PostgreSQL. Calls that arrive together share one round trip and one commit."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.elements import ColumnElement

from services.billing.domain import Hold, HoldChange, HoldRefusal, HoldState, NewHold
from services.billing.store.rows import OK, fetch
from services.common.batching import Batcher
from services.common.database import Pool, Query
from services.common.errors import Reason

HOLDS_PER_BATCH_MAX = 100


def _texts(name: str) -> ColumnElement[Any]:
    return cast(bindparam(name), ARRAY(Text))


def _amounts(name: str) -> ColumnElement[Any]:
    return cast(bindparam(name), ARRAY(BigInteger))


_ANSWER_COLUMNS = (
    "position", "outcome", "available_micros", "hold_id", "account_id", "environment", "amount_micros",
    "captured_micros", "state",
)  # fmt: skip
_CREATE_HOLDS = Query(
    select(
        func.create_holds(
            _texts("hold_ids"), _texts("account_ids"), _texts("environments"), _amounts("amounts")
        ).table_valued(*_ANSWER_COLUMNS)
    )
)
_CHANGE_HOLDS = Query(
    select(
        func.change_holds(_texts("hold_ids"), _texts("states"), _amounts("captures")).table_valued(
            *_ANSWER_COLUMNS
        )
    )
)
_EXPIRE_HOLDS = Query(select(func.expire_holds(bindparam("holds_max")).label("count")))


class SqlHolds:
    """Fulfils Holds."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._creations = Batcher(self._create, items_max=HOLDS_PER_BATCH_MAX)
        self._changes = Batcher(self._change, items_max=HOLDS_PER_BATCH_MAX)

    async def create(self, new: NewHold) -> Hold | HoldRefusal:
        """See Holds."""
        return await self._creations.submit(new)

    async def change(self, change: HoldChange) -> Hold | HoldRefusal:
        """See Holds."""
        return await self._changes.submit(change)

    async def expire(self, *, holds_max: int) -> int:
        """See Holds."""
        [row] = await fetch(self._pool, _EXPIRE_HOLDS, holds_max=holds_max)
        return int(row["count"])

    async def _create(self, batch: Sequence[NewHold]) -> list[Hold | HoldRefusal]:
        rows = await fetch(
            self._pool,
            _CREATE_HOLDS,
            hold_ids=[new.hold_id for new in batch],
            account_ids=[new.account_id for new in batch],
            environments=[new.environment for new in batch],
            amounts=[new.amount_micros for new in batch],
        )
        return _answers(rows)

    async def _change(self, batch: Sequence[HoldChange]) -> list[Hold | HoldRefusal]:
        rows = await fetch(
            self._pool,
            _CHANGE_HOLDS,
            hold_ids=[change.hold_id for change in batch],
            states=[change.state.value for change in batch],
            captures=[change.captured_micros for change in batch],
        )
        return _answers(rows)


def _answers(rows: Sequence[dict[str, Any]]) -> list[Hold | HoldRefusal]:
    return [_answer(row) for row in sorted(rows, key=lambda row: row["position"])]


def _answer(row: dict[str, Any]) -> Hold | HoldRefusal:
    hold = None
    if row["hold_id"] is not None:
        hold = Hold(
            hold_id=row["hold_id"],
            account_id=row["account_id"],
            environment=row["environment"],
            amount_micros=row["amount_micros"],
            captured_micros=row["captured_micros"],
            state=HoldState(row["state"]),
        )
    if row["outcome"] == OK:
        assert hold is not None
        return hold
    return HoldRefusal(
        reason=Reason(row["outcome"]), hold=hold, available_micros=row["available_micros"] or 0
    )
