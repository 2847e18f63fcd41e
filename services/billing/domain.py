"""What billing knows: accounts, keys, balances and holds. Amounts are whole micro-credits everywhere."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.common.errors import Reason, ServiceError

MICROS_PER_CREDIT = 1_000_000
BALANCE_MICROS_MAX = 10**18
"""Of available and held together, so that no sum ever leaves 64 bits."""


class HoldState(StrEnum):
    """Where a hold is in its life. It leaves PROVISIONAL or CONFIRMED once, and the rest never."""

    PROVISIONAL = "provisional"
    CONFIRMED = "confirmed"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Credits set aside for one job."""

    hold_id: str
    account_id: str
    environment: str
    amount_micros: int
    captured_micros: int
    state: HoldState


@dataclass(frozen=True, kw_only=True)
class NewHold:
    """A wish to set credits aside."""

    hold_id: str
    account_id: str
    environment: str
    amount_micros: int


@dataclass(frozen=True, kw_only=True)
class HoldChange:
    """A wish to confirm, capture or release a hold. Of what is not captured, all goes back."""

    hold_id: str
    state: HoldState
    captured_micros: int = 0


@dataclass(frozen=True, kw_only=True)
class HoldRefusal:
    """Why the ledger did not do what was wished; the hold or the balance, where that says more."""

    reason: Reason
    hold: Hold | None = None
    available_micros: int = 0


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Credits an operator gives, under an id that makes repeating harmless."""

    grant_id: str
    account_id: str
    environment: str
    amount_micros: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What an account has in one environment."""

    available_micros: int
    held_micros: int


@dataclass(frozen=True, kw_only=True)
class Account:
    """Whoever pays."""

    account_id: str
    name: str
    contract: str


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """An API key about to be stored: its hash, never itself."""

    key_id: str
    account_id: str
    environment: str
    sha256: bytes
    hint: str


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key as it is shown after its issue."""

    key_id: str
    environment: str
    hint: str
    created_at: datetime
    disabled_at: datetime | None


def in_credits(micros: int) -> str:
    """Writes an amount for people: whole credits as `50`, others as `12.5`."""
    whole, rest = divmod(micros, MICROS_PER_CREDIT)
    return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)


def account_not_found(account_id: str) -> ServiceError:
    """Returns the refusal of an account that does not exist."""
    return ServiceError(Reason.ACCOUNT_NOT_FOUND, f"There is no account {account_id}.", account_id=account_id)
