"""The ledger's holds in PostgreSQL. Calls that arrive together share one round trip and one commit."""

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from psycopg.rows import DictRow
from sqlalchemy import (
    BigInteger,
    DateTime,
    Integer,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from services.billing.domain import (
    STANDING_TEST_MICROS,
    Hold,
    HoldChange,
    HoldRefusal,
    HoldState,
    LimitPeriod,
    LimitReached,
    NewHold,
    Refund,
)
from services.billing.refusals import hold_not_changed, hold_not_created, hold_not_found, hold_not_refunded
from services.billing.store.movements import count_movements
from services.billing.store.outcomes import OK, count_changed, count_created
from services.billing.tables import holds
from services.common.audit.note import AuditNote
from services.common.audit.store import write_audit
from services.common.errors import Reason
from services.common.postgres.batching import Batcher, answer_apart, succeeded
from services.common.postgres.database import Connection, Pool, Query, fetch, fetch_within

HOLDS_PER_BATCH_MAX = 100


def _texts(name: str) -> ColumnElement[Any]:
    return cast(bindparam(name), ARRAY(Text))


def _amounts(name: str) -> ColumnElement[Any]:
    return cast(bindparam(name), ARRAY(BigInteger))


_HOLD_COLUMNS = (
    "hold_id", "account_id", "environment", "amount_micros", "captured_micros", "refunded_micros", "state", "created_at",
)  # fmt: skip
_LIMIT_COLUMNS = ("limit_subject_id", "limit_period", "limit_micros", "limit_spent_micros")
_ANSWER_COLUMNS = ("position", "outcome", "available_micros", *_HOLD_COLUMNS, *_LIMIT_COLUMNS)


def _answer_of(function: FunctionElement[Any]) -> Query:
    """Returns the answers of a function of the ledger, each with how its hold was before.

    A statement sees what was committed when it began, and not what its own functions do.
    """
    answer = function.table_valued(*_ANSWER_COLUMNS, name="answer")
    before = {
        f"{name}_before": select(holds.c[name]).where(holds.c.hold_id == answer.c.hold_id).scalar_subquery()
        for name in ("state", "refunded_micros")
    }
    return Query(select(answer, *(value.label(name) for name, value in before.items())))


_CREATE_HOLDS = _answer_of(
    func.create_holds(
        _texts("hold_ids"),
        _texts("account_ids"),
        _texts("environments"),
        _amounts("amounts"),
        _texts("key_ids"),
        _texts("contracts"),
        _amounts("standing_micros"),
    )
)
_CHANGE_HOLDS = _answer_of(
    func.change_holds(
        _texts("hold_ids"),
        _texts("states"),
        _amounts("captures"),
        cast(bindparam("lasts_seconds"), ARRAY(Integer)),
    )
)
_OVERDUE = Query(
    select(holds.c.hold_id, holds.c.expires_at)
    .where(
        holds.c.resolved_at.is_(None),
        holds.c.expires_at <= func.clock_timestamp(),
        holds.c.expires_at >= cast(bindparam("after_moment"), DateTime(timezone=True)),
        tuple_(holds.c.expires_at, holds.c.hold_id)
        > tuple_(cast(bindparam("after_moment"), DateTime(timezone=True)), cast(bindparam("after_id"), Text)),
    )
    .order_by(holds.c.expires_at, holds.c.hold_id)
    .limit(bindparam("holds_max"))
)
_FROM_THE_FIRST = (datetime.min.replace(tzinfo=UTC), "")
_REFUND_HOLD = _answer_of(
    func.refund_hold(
        bindparam("refund_id"),
        bindparam("hold_id"),
        cast(bindparam("amount_micros"), BigInteger),
        bindparam("reason"),
    )
)
_LOCK_BALANCE = Query(
    select(func.lock_balances(func.array_agg(holds.c.account_id), func.array_agg(holds.c.environment))).where(
        holds.c.hold_id == bindparam("of_hold_id")
    )
)
_HOLDS = select(*(holds.c[name] for name in _HOLD_COLUMNS))
_GET = Query(_HOLDS.where(holds.c.hold_id == func.any(_texts("hold_ids"))))
_PAGE = Query(
    _HOLDS.where(holds.c.hold_id > bindparam("after_id"))
    .order_by(holds.c.hold_id)
    .limit(bindparam("holds_max"))
)
UNCONFIRMED = Query(
    # The state is written out, so that the index of provisional holds is used.
    _HOLDS.where(
        holds.c.state == literal_column("'provisional'"),
        holds.c.hold_id > bindparam("after_id"),
        holds.c.created_at
        <= func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, bindparam("age_seconds")),
    )
    .order_by(holds.c.hold_id)
    .limit(bindparam("holds_max"))
)


class SqlHolds:
    """The part of the ledger that jobs drive. Everything is idempotent by hold id."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._overdue_after = _FROM_THE_FIRST
        """How far overdue holds were processed, so that those that cannot be changed do not block the rest."""
        self._creations = Batcher(
            self._create, items_max=HOLDS_PER_BATCH_MAX, name="create_holds", name_of=attrgetter("hold_id")
        )
        self._changes = Batcher(
            self._change, items_max=HOLDS_PER_BATCH_MAX, name="change_holds", name_of=attrgetter("hold_id")
        )

    async def create(self, new: NewHold) -> Hold:
        """Sets credits aside until the hold expires or is confirmed. Repeating it returns the same hold.

        A test balance that falls short refills itself to STANDING_TEST_MICROS first, if that is enough.
        Refuses with CREDITS_INSUFFICIENT, SPEND_LIMIT_EXCEEDED, ACCOUNT_NOT_FOUND, KEY_NOT_FOUND or HOLD_MISMATCH.
        """
        answer = await self._creations.submit(new)
        if isinstance(answer, HoldRefusal):
            raise hold_not_created(new, answer)
        return answer

    async def create_all(self, wanted: Sequence[NewHold]) -> list[Hold | Exception]:
        """Does for each what `create` does for one. Returns for each its hold, or what `create` raises."""
        answers = await self._creations.submit_all(wanted)
        return [
            hold_not_created(new, answer) if isinstance(answer, HoldRefusal) else answer
            for new, answer in zip(wanted, answers, strict=True)
        ]

    async def change(self, change: HoldChange) -> Hold:
        """Confirms, captures or releases a hold. Repeating it returns the same hold.

        Refuses with HOLD_NOT_FOUND, HOLD_MISMATCH, AMOUNT_ABOVE_HOLD, or the state the hold has ended in.
        """
        answer = await self._changes.submit(change)
        if isinstance(answer, HoldRefusal):
            raise hold_not_changed(change, answer)
        return answer

    async def change_all(self, changes: Sequence[HoldChange]) -> list[Hold | Exception]:
        """Does for each what `change` does for one. Returns for each its hold, or what `change` raises."""
        answers = await self._changes.submit_all(changes)
        return [
            hold_not_changed(change, answer) if isinstance(answer, HoldRefusal) else answer
            for change, answer in zip(changes, answers, strict=True)
        ]

    async def expire(self, *, holds_max: int) -> int:
        """Returns the credits of the next batch of overdue holds. Returns how many there were.

        A hold that cannot be expired is logged and does not block others.
        """
        after_moment, after_id = self._overdue_after
        rows = await fetch(
            self._pool, _OVERDUE, after_moment=after_moment, after_id=after_id, holds_max=holds_max
        )
        changes = [HoldChange(hold_id=row["hold_id"], state=HoldState.EXPIRED) for row in rows]
        answers = await answer_apart(
            self._change, changes, name="expire_holds", name_of=attrgetter("hold_id")
        )
        expired = [answer for answer in succeeded(answers) if isinstance(answer, Hold)]
        is_last = len(rows) < holds_max
        self._overdue_after = _FROM_THE_FIRST if is_last else (rows[-1]["expires_at"], rows[-1]["hold_id"])
        return len(expired)

    async def refund(self, refund: Refund) -> Hold:
        """Gives back what was captured of a hold, in whole or in part. Repeating it gives nothing more.

        Refuses with HOLD_NOT_FOUND, HOLD_NOT_CAPTURED, REFUND_ABOVE_CHARGE or REFUND_MISMATCH.
        """
        [row] = await fetch(self._pool, _REFUND_HOLD, **vars(refund))
        count_movements([row])
        answer = _answer(row)
        if isinstance(answer, HoldRefusal):
            raise hold_not_refunded(refund, answer)
        return answer

    async def give_back(self, hold_id: str, *, note: AuditNote) -> int:
        """Releases a hold, or refunds what was captured, with an audit entry in the same commit if it moves anything.

        Returns how many micro-credits went back. Repeating it gives nothing more. Refuses with HOLD_NOT_FOUND.
        """
        async with self._pool.connection() as connection, connection.transaction():
            # Of the balance, as before every movement: nobody else resolves or refunds the hold meanwhile.
            await fetch_within(connection, _LOCK_BALANCE, of_hold_id=hold_id)
            found = await fetch_within(connection, _GET, hold_ids=[hold_id])
            if not found:
                raise hold_not_found(hold_id)
            hold = _hold(found[0])
            given_back_micros, moved = await _give_back(connection, hold, reason=note.reason)
            if given_back_micros:
                details = {"state": hold.state.value, "amount_micros": given_back_micros}
                await write_audit(
                    connection, note, action="hold.release", subject_id=hold_id, details=details
                )
        count_movements(moved)
        return given_back_micros

    async def get(self, hold_ids: Sequence[str]) -> list[Hold]:
        """Returns the holds with these ids that there are, in no order."""
        return [_hold(row) for row in await fetch(self._pool, _GET, hold_ids=list(hold_ids))]

    async def page(self, *, after_id: str, holds_max: int) -> list[Hold]:
        """Returns the holds with the lowest ids after one, lowest first."""
        return [_hold(row) for row in await fetch(self._pool, _PAGE, after_id=after_id, holds_max=holds_max)]

    async def unconfirmed(self, *, age_seconds_min: int, after_id: str, holds_max: int) -> list[Hold]:
        """Returns provisional holds of at least this age with the lowest ids after one, lowest first."""
        rows = await fetch(
            self._pool, UNCONFIRMED, age_seconds=age_seconds_min, after_id=after_id, holds_max=holds_max
        )
        return [_hold(row) for row in rows]

    async def _create(self, batch: Sequence[NewHold]) -> list[Hold | HoldRefusal]:
        rows = await fetch(
            self._pool,
            _CREATE_HOLDS,
            hold_ids=[new.hold_id for new in batch],
            account_ids=[new.account_id for new in batch],
            environments=[new.environment for new in batch],
            amounts=[new.amount_micros for new in batch],
            key_ids=[new.key_id for new in batch],
            contracts=list(STANDING_TEST_MICROS),
            standing_micros=list(STANDING_TEST_MICROS.values()),
        )
        count_movements(rows)
        count_created(rows)
        return _answers(rows)

    async def _change(self, batch: Sequence[HoldChange]) -> list[Hold | HoldRefusal]:
        rows = await fetch(
            self._pool,
            _CHANGE_HOLDS,
            hold_ids=[change.hold_id for change in batch],
            states=[change.state.value for change in batch],
            captures=[change.captured_micros for change in batch],
            lasts_seconds=[change.lasts_seconds for change in batch],
        )
        count_movements(rows)
        count_changed([change.state for change in batch], rows)
        return _answers(rows)


async def _give_back(connection: Connection, hold: Hold, *, reason: str) -> tuple[int, Sequence[DictRow]]:
    """Gives back what a hold keeps, in the connection's transaction. Returns how many micro-credits, and the answers."""
    if hold.state is HoldState.CAPTURED:
        left_micros = hold.captured_micros - hold.refunded_micros
        if left_micros:
            refund = Refund(
                refund_id=f"return_{hold.hold_id}_{hold.refunded_micros}",
                hold_id=hold.hold_id,
                amount_micros=left_micros,
                reason=reason,
            )
            return left_micros, await fetch_within(connection, _REFUND_HOLD, **vars(refund))
        return 0, ()
    if hold.state in {HoldState.RELEASED, HoldState.EXPIRED}:
        return 0, ()
    for state in (HoldState.RELEASED, HoldState.EXPIRED):
        # One that is overdue can only expire.
        [row] = await fetch_within(
            connection,
            _CHANGE_HOLDS,
            hold_ids=[hold.hold_id],
            states=[state.value],
            captures=[0],
            lasts_seconds=[0],
        )
        if row["outcome"] == OK:
            break
    return hold.amount_micros, [row]


def _answers(rows: Sequence[dict[str, Any]]) -> list[Hold | HoldRefusal]:
    return [_answer(row) for row in sorted(rows, key=lambda row: row["position"])]


def _answer(row: dict[str, Any]) -> Hold | HoldRefusal:
    hold = None if row["hold_id"] is None else _hold(row)
    if row["outcome"] == OK:
        assert hold is not None
        return hold
    return HoldRefusal(
        reason=Reason(row["outcome"]),
        hold=hold,
        available_micros=row["available_micros"] or 0,
        limit=None if row["limit_period"] is None else _limit(row),
    )


def _hold(row: dict[str, Any]) -> Hold:
    values = {name: row[name] for name in _HOLD_COLUMNS}
    return Hold(**{**values, "state": HoldState(row["state"])})


def _limit(row: dict[str, Any]) -> LimitReached:
    return LimitReached(
        subject_id=row["limit_subject_id"],
        period=LimitPeriod(row["limit_period"]),
        limit_micros=row["limit_micros"],
        spent_micros=row["limit_spent_micros"],
    )
