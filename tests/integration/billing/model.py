"""The ledger in plain Python: what it must answer, and what every balance, hold and counter is afterwards."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from services.common.errors import Reason

View = tuple[str, int, int]
"""Of a hold: state, captured, refunded."""
Answer = Reason | View | int | None
"""Why nothing was done; or the hold, or what can be spent after a gift."""
Act = tuple[Any, ...]
"""The name of a method of Model, and its arguments."""
State = dict[str, set[tuple[Any, ...]]]
Line = tuple[str, str, int, int]
"""Kind and reference of a movement, and what was available and held afterwards."""
LIMIT_PERIODS = ("job", "day", "month")
_REASON_BY_END = {
    "captured": Reason.HOLD_CAPTURED,
    "released": Reason.HOLD_RELEASED,
    "expired": Reason.HOLD_EXPIRED,
}


@dataclass
class ModelHold:
    """Credits set aside."""

    account: str
    key: str | None
    amount: int
    state: str = "provisional"
    captured: int = 0
    refunded: int = 0

    def view(self) -> View:
        return self.state, self.captured, self.refunded


@dataclass
class Subject:
    """An account or a key, and what it may spend. All happens in one day."""

    spent: int = 0
    limits: dict[str, int | None] = field(default_factory=lambda: dict.fromkeys(LIMIT_PERIODS))

    def allows(self, amount: int) -> bool:
        spent = {"job": 0, "day": self.spent, "month": self.spent}
        return all(most is None or spent[period] + amount <= most for period, most in self.limits.items())


@dataclass
class Model:
    """Accounts by name, each with `available` and `held`, and all that happened to them."""

    balances: dict[str, tuple[int, int]]
    keys: dict[str, str]
    """The account of each key."""
    subjects: dict[str, Subject] = field(default_factory=dict)
    holds: dict[str, ModelHold] = field(default_factory=dict)
    gifts: dict[tuple[str, str], tuple[str, int, int]] = field(default_factory=dict)
    refunds: dict[str, tuple[str, int]] = field(default_factory=dict)
    statements: dict[str, list[Line]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.subjects = {name: Subject() for name in (*self.balances, *self.keys)}
        self.statements = {account: [] for account in self.balances}

    def after(self, name: str, *arguments: Any) -> tuple["Model", Answer]:
        """Returns what one call makes of this ledger, and its answer."""
        copy = deepcopy(self)
        return copy, getattr(copy, name)(*arguments)

    def state(self) -> State:
        """Returns all that can be observed."""
        return {
            "balances": {(account, *balance) for account, balance in self.balances.items()},
            "spending": {(name, subject.spent, subject.spent) for name, subject in self.subjects.items()},
            "holds": {
                (name, hold.account, hold.key, hold.amount, *hold.view()) for name, hold in self.holds.items()
            },
            "history": {
                (account, version, *line)
                for account, lines in self.statements.items()
                for version, line in enumerate(lines, start=1)
            },
        }

    def give(self, kind: str, gift: str, account: str, amount: int) -> Answer:
        if (kind, gift) in self.gifts:
            *known, available = self.gifts[kind, gift]
            mismatch = Reason.GRANT_MISMATCH if kind == "grant" else Reason.CORRECTION_MISMATCH
            return available if known == [account, amount] else mismatch
        available = self.balances[account][0] + amount
        if available < 0:
            return Reason.CREDITS_INSUFFICIENT
        self.gifts[kind, gift] = (account, amount, available)
        self._move(account, kind, gift, amount, 0)
        return available

    def limit(self, subject: str, period: str, most: int | None) -> Answer:
        self.subjects[subject].limits[period] = most
        return None

    def hold(self, name: str, account: str, key: str | None, amount: int) -> Answer:
        if name in self.holds:
            known = self.holds[name]
            is_same = (known.account, known.amount) == (account, amount)
            return known.view() if is_same else Reason.HOLD_MISMATCH
        if key is not None and self.keys[key] != account:
            return Reason.KEY_NOT_FOUND
        if not all(self.subjects[subject].allows(amount) for subject in (account, key) if subject):
            return Reason.SPEND_LIMIT_EXCEEDED
        if self.balances[account][0] < amount:
            return Reason.CREDITS_INSUFFICIENT
        self.holds[name] = ModelHold(account, key, amount)
        self._spend(self.holds[name], amount)
        self._move(account, "hold", name, -amount, amount)
        return self.holds[name].view()

    def confirm(self, name: str) -> Answer:
        refusal = self._why_not(name, "confirmed")
        if refusal is not None:
            return refusal
        self.holds[name].state = "confirmed"
        return self.holds[name].view()

    def capture(self, name: str, amount: int) -> Answer:
        return self._resolve(name, "captured", "capture", amount)

    def release(self, name: str) -> Answer:
        return self._resolve(name, "released", "release", 0)

    def run_out(self, name: str) -> Answer:
        self._resolve(name, "expired", "expire", 0)
        return None

    def too_late(self, act: Act) -> Answer:
        name, job, *arguments = act
        self.run_out(job)
        answer: Answer = getattr(self, name)(job, *arguments)
        return answer

    def refund(self, refund: str, name: str, amount: int) -> Answer:
        if name not in self.holds:
            return Reason.HOLD_NOT_FOUND
        if refund in self.refunds:
            is_same = self.refunds[refund] == (name, amount)
            return self.holds[name].view() if is_same else Reason.REFUND_MISMATCH
        hold = self.holds[name]
        if hold.state != "captured":
            return Reason.HOLD_NOT_CAPTURED
        if hold.refunded + amount > hold.captured:
            return Reason.REFUND_ABOVE_CHARGE
        self.refunds[refund] = (name, amount)
        hold.refunded += amount
        self._move(hold.account, "refund", refund, amount, 0)
        return hold.view()

    def _resolve(self, name: str, state: str, kind: str, captured: int) -> Answer:
        refusal = self._why_not(name, state)
        if refusal is not None:
            return refusal
        hold = self.holds[name]
        if hold.state == state:
            return hold.view() if hold.captured == captured else Reason.HOLD_MISMATCH
        if captured > hold.amount:
            return Reason.AMOUNT_ABOVE_HOLD
        hold.state, hold.captured = state, captured
        self._spend(hold, captured - hold.amount)
        self._move(hold.account, kind, name, hold.amount - captured, -hold.amount)
        return hold.view()

    def _why_not(self, name: str, state: str) -> Reason | None:
        if name not in self.holds:
            return Reason.HOLD_NOT_FOUND
        now = self.holds[name].state
        return None if now == state else _REASON_BY_END.get(now)

    def _spend(self, hold: ModelHold, amount: int) -> None:
        for subject in (hold.account, hold.key):
            if subject is not None:
                self.subjects[subject].spent += amount

    def _move(self, account: str, kind: str, reference: str, to_available: int, to_held: int) -> None:
        available, held = self.balances[account]
        self.balances[account] = (available + to_available, held + to_held)
        self.statements[account].append((kind, reference, *self.balances[account]))
