"""The real ledger with the methods of its model: two billing processes over one database, called in turn."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from reelgate.internal.ledger.v1 import hold_pb2

from services.common.errors import Reason, ServiceError
from tests.integration.billing.model import Act, Answer, State, View
from tests.integration.billing.running import Billing, running_billing

OBSERVED = {
    "balances": (
        "SELECT account_id, available_micros, held_micros FROM balances"
        " WHERE account_id = ANY(%s) AND environment = 'live'"
    ),
    "spending": (
        "SELECT subject_id, day_micros, month_micros FROM spending"
        " WHERE account_id = ANY(%s) AND environment = 'live'"
    ),
    "holds": (
        "SELECT hold_id, account_id, key_id, amount_micros, state, captured_micros, refunded_micros FROM holds"
        " WHERE account_id = ANY(%s)"
    ),
    "history": """
        SELECT account_id, version, kind, reference, sum(sum(to_available)) OVER before, sum(sum(to_held)) OVER before
        FROM transactions JOIN entries USING (transaction_id) CROSS JOIN LATERAL (VALUES (
            CASE bucket WHEN 'available' THEN amount_micros ELSE 0 END,
            CASE bucket WHEN 'held' THEN amount_micros ELSE 0 END
        )) AS change (to_available, to_held)
        WHERE account_id = ANY(%s) GROUP BY account_id, version, kind, reference
        WINDOW before AS (PARTITION BY account_id ORDER BY version)""",
}


class World:
    """One history after another. In each, the same names stand for ids of its own."""

    def __init__(self, sides: Sequence[Billing], connection: psycopg.AsyncConnection) -> None:
        self._sides = itertools.cycle(sides)
        self._connection = connection
        self._histories = itertools.count(1)

    async def begin(self, accounts: Sequence[str], keys: Mapping[str, str]) -> None:
        """Opens the accounts of another history, and the keys, each of an account."""
        self._prefix = f"{next(self._histories)}-"
        side = next(self._sides)
        self._ids = {account: await side.account() for account in accounts}
        for key, account in keys.items():
            self._ids[key] = (await side.new_key(self._ids[account])).key.key_id
        self._names = {known_id: name for name, known_id in self._ids.items()}

    async def perform(self, acts: Sequence[Act]) -> list[Answer]:
        """Performs acts at once, neighbours on different sides."""
        return await asyncio.gather(*(self._answer(*act) for act in acts))

    async def observe(self) -> State:
        """Reads the state of the model from the database."""
        return {part: await self._read(query) for part, query in OBSERVED.items()}

    async def _read(self, query: str) -> set[tuple[Any, ...]]:
        cursor = await self._connection.execute(query.encode(), [list(self._names)])
        return {tuple(map(self._name, row)) for row in await cursor.fetchall()}

    async def _answer(self, name: str, *arguments: Any) -> Answer:
        try:
            answer: hold_pb2.Hold | int | None = await getattr(self, name)(next(self._sides), *arguments)
        except ServiceError as error:
            return Reason(str(error.reason))
        return _view(answer) if isinstance(answer, hold_pb2.Hold) else answer

    async def hold(
        self, side: Billing, name: str, account: str, key: str | None, amount: int
    ) -> hold_pb2.Hold:
        return await side.hold(self._id(name), self._ids[account], amount, key_id=key and self._ids[key])

    async def confirm(self, side: Billing, name: str) -> hold_pb2.Hold:
        return await side.confirm(self._id(name))

    async def capture(self, side: Billing, name: str, amount: int) -> hold_pb2.Hold:
        return await side.capture(self._id(name), amount)

    async def release(self, side: Billing, name: str) -> hold_pb2.Hold:
        return await side.release(self._id(name))

    async def run_out(self, side: Billing, name: str) -> None:
        await side.let_time_run_out(self._id(name))
        await side.sweep()

    async def too_late(self, side: Billing, act: Act) -> hold_pb2.Hold:
        name, job, *arguments = act
        await side.let_time_run_out(self._id(job))
        try:
            hold: hold_pb2.Hold = await getattr(self, name)(next(self._sides), job, *arguments)
            return hold
        finally:
            await side.sweep()

    async def refund(self, side: Billing, refund: str, name: str, amount: int) -> hold_pb2.Hold:
        return await side.refund(self._id(refund), self._id(name), amount)

    async def give(self, side: Billing, kind: str, gift: str, account: str, amount: int) -> int:
        if kind == "grant":
            return await side.grant(self._ids[account], amount, grant_id=self._id(gift))
        return await side.correct(self._ids[account], amount, correction_id=self._id(gift))

    async def limit(self, side: Billing, subject: str, period: str, most: int | None) -> None:
        await side.rows(
            f"UPDATE spending SET per_{period}_micros = %s WHERE subject_id = %s AND environment = 'live'",
            most,
            self._ids[subject],
        )

    def _id(self, name: str) -> str:
        return self._prefix + name

    def _name(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value if value is None else int(value)
        return self._names.get(value, value.removeprefix(self._prefix))


def _view(hold: hold_pb2.Hold) -> View:
    state = hold_pb2.Hold.State.Name(hold.state).removeprefix("STATE_").lower()
    return state, hold.captured_micros, hold.refunded_micros


@asynccontextmanager
async def open_world(url: str) -> AsyncIterator[World]:
    async with (
        running_billing(url) as one,
        running_billing(url) as other,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
    ):
        yield World((one, other), connection)
