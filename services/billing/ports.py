"""What billing needs from the world."""

from typing import Protocol

from services.billing.domain import (
    Account,
    Balance,
    Grant,
    Hold,
    HoldChange,
    HoldRefusal,
    Key,
    NewHold,
    NewKey,
)
from services.common.authentication import Caller
from services.common.errors import Reason


class Holds(Protocol):
    """The part of the ledger that jobs drive. Everything is idempotent by hold id."""

    async def create(self, new: NewHold) -> Hold | HoldRefusal:
        """Sets credits aside."""

    async def change(self, change: HoldChange) -> Hold | HoldRefusal:
        """Confirms, captures or releases a hold."""

    async def expire(self, *, holds_max: int) -> int:
        """Gives back what overdue provisional holds set aside. Returns how many there were in the batch."""


class Accounts(Protocol):
    """Accounts and what they have."""

    async def add(self, account: Account) -> None:
        """Opens an account with empty balances in both environments."""

    async def contract(self, account_id: str) -> str | None:
        """Returns the contract an account is on, or None if there is no such account."""

    async def balance(self, *, account_id: str, environment: str) -> Balance | None:
        """Returns what an account has, or None if there is no such account."""

    async def grant(self, grant: Grant) -> int | Reason:
        """Adds credits. Returns what can be spent after it, or why nothing was added."""


class Keys(Protocol):
    """API keys."""

    async def add(self, key: NewKey) -> Key:
        """Stores a new key."""

    async def of_account(self, account_id: str, *, keys_max: int) -> list[Key]:
        """Returns the newest keys of an account, newest first."""

    async def disable(self, key_id: str) -> Key | None:
        """Stops a key from working. Returns None if there is no such key."""

    async def find(self, sha256: bytes) -> Caller | None:
        """Returns whose working key has this hash."""
