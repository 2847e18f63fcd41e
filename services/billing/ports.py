"""What billing needs from the world."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol

from services.billing.domain import (
    Account,
    AccountRules,
    AuditEntry,
    AuditNote,
    Balance,
    Gift,
    GiftRefusal,
    Hold,
    HoldChange,
    HoldRefusal,
    Key,
    KeyCalls,
    KeyRules,
    LedgerPart,
    NewAccount,
    NewHold,
    NewKey,
    NewPrices,
    PriceRefusal,
    PriceVersion,
    Refund,
    Spending,
    SpendLimits,
    StatementLine,
    StatementRange,
)
from services.common.authentication import Caller
from services.common.call_leases import CallLease, Leased
from services.common.verification import Page


class Holds(Protocol):
    """The part of the ledger that jobs drive. Everything is idempotent by hold id."""

    async def create(self, new: NewHold) -> Hold | HoldRefusal:
        """Sets credits aside. A test balance too small for it is granted what it lacks to STANDING_TEST_MICROS."""

    async def change(self, change: HoldChange) -> Hold | HoldRefusal:
        """Confirms, captures or releases a hold."""

    async def expire(self, *, holds_max: int) -> int:
        """Gives back what overdue holds set aside, each time of the next ones. Returns how many there were.

        One that cannot be given back is logged, and keeps no other from it.
        """

    async def refund(self, refund: Refund) -> Hold | HoldRefusal:
        """Gives back what was captured."""

    async def give_back(self, hold_id: str, *, note: AuditNote) -> int | None:
        """Releases a hold, or refunds what was captured, with an audit entry in the same commit if it moves anything.

        Returns how many micro-credits went back, or None if there is no such hold.
        """

    async def get(self, hold_ids: Sequence[str]) -> list[Hold]:
        """Returns the holds with these ids that there are, in no order."""

    async def page(self, *, after_id: str, holds_max: int) -> list[Hold]:
        """Returns the holds with the lowest ids after one, lowest first."""

    async def unconfirmed(self, *, age_seconds_min: int, after_id: str, holds_max: int) -> list[Hold]:
        """Returns provisional holds of at least this age with the lowest ids after one, lowest first."""


class Accounts(Protocol):
    """Accounts and what they have."""

    async def add(self, account: NewAccount, *, note: AuditNote) -> None:
        """Opens an account with empty balances in both environments."""

    async def get(self, account_id: str) -> Account | None:
        """Returns an account, or None if there is no such account."""

    async def page(self, *, before_id: str | None, accounts_max: int) -> list[Account]:
        """Returns the newest accounts that are older than one (None: the newest of all), newest first."""

    async def suspend(self, account_id: str, *, note: AuditNote) -> Account | None:
        """Stops every key of an account from working. Returns None if there is no such account."""

    async def resume(self, account_id: str, *, note: AuditNote) -> Account | None:
        """Lets the keys of an account work again. Returns None if there is no such account."""

    async def set_limits(
        self, account_id: str, *, environment: str, limits: SpendLimits, note: AuditNote
    ) -> Spending | None:
        """Replaces what an account may spend. Returns None if there is no such account."""

    async def set_rules(
        self, account_id: str, *, rules: AccountRules, note: AuditNote
    ) -> AccountRules | None:
        """Replaces how an account may be used. Returns None if there is no such account."""

    async def contract(self, account_id: str) -> str | None:
        """Returns the contract an account is on, or None if there is no such account."""

    async def balance(self, *, account_id: str, environment: str) -> Balance | None:
        """Returns what an account has, or None if there is no such account."""

    async def give(self, gift: Gift) -> int | GiftRefusal:
        """Adds or takes credits. Returns what can be spent after it, or why nothing was changed."""


class Keys(Protocol):
    """API keys."""

    async def add(self, key: NewKey, *, note: AuditNote) -> Key:
        """Stores a new key."""

    async def of_account(self, account_id: str, *, keys_max: int) -> list[Key]:
        """Returns the newest keys of an account, newest first."""

    async def get(self, key_id: str) -> Key | None:
        """Returns a key, or None if there is no such key."""

    async def rotate(
        self, key_id: str, *, sha256: bytes, hint: str, overlap_seconds: int, note: AuditNote
    ) -> Key | None:
        """Gives a key a new secret; the one before works for the overlap. Returns None if no such key works."""

    async def set_limits(self, key_id: str, *, limits: SpendLimits, note: AuditNote) -> Key | None:
        """Replaces what a key may spend. Returns None if there is no such key."""

    async def set_models(self, key_id: str, *, models: tuple[str, ...], note: AuditNote) -> Key | None:
        """Replaces which models a key may use. Returns None if there is no such key."""

    async def set_rules(self, key_id: str, *, rules: KeyRules, note: AuditNote) -> Key | None:
        """Replaces how a key may be used. Returns None if there is no such key."""

    async def disable(self, key_id: str, *, note: AuditNote) -> Key | None:
        """Stops a key from working, with every secret it has. Returns None if there is no such key."""

    async def find(self, sha256: bytes) -> Caller | None:
        """Returns whose working key has this hash, or had it until a rotation whose overlap has not ended."""


class CallLimits(Protocol):
    """The slots of keys: how often they were used, and who has leased them."""

    async def change(
        self,
        key_ids: Sequence[str],
        *,
        decide: Callable[[KeyCalls, int], tuple[KeyCalls, CallLease | None]],
    ) -> Leased:
        """Changes the slots of keys, which nobody else can meanwhile, and returns the leases that were given.

        `decide` gets those of one key and the moment, in microseconds, and returns what they become.
        """


class Statements(Protocol):
    """What moved balances."""

    async def lines(self, wanted: StatementRange) -> list[StatementLine]:
        """Returns the first movements of a range, oldest first."""


class AuditLog(Protocol):
    """What operators did."""

    async def page(self, *, subject_id: str | None, before_number: int, entries_max: int) -> list[AuditEntry]:
        """Returns the newest changes before a number, of one subject or (None) of all, newest first."""


class Prices(Protocol):
    """Versions of prices."""

    async def add(self, new: NewPrices) -> PriceVersion | PriceRefusal:
        """Stores a version, unless there is one of that name. Returns the one there is then."""

    async def listed(self, *, replaced_for: timedelta, prices_max: int) -> list[PriceVersion]:
        """Returns the versions, oldest first, of which anything holds, will hold, or was replaced so short ago.

        Of all their prices the newest `prices_max`.
        """


class Books(Protocol):
    """The ledger, as it is checked."""

    async def page(self, part: LedgerPart, after: Sequence[Any], *, rows_max: int) -> Page:
        """Checks the rows that follow a key, `rows_max` at most, as they all were at one moment."""
