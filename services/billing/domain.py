"""What billing knows: accounts, keys, balances and holds. Amounts are whole micro-credits everywhere."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.common.audit.note import AuditNote
from services.common.errors import Reason
from services.common.money import MICROS_PER_CREDIT
from services.common.rate_limit.protocol import Moments

BALANCE_MICROS_MAX = 10**18
"""Of available and held together, so that no sum ever leaves 64 bits."""
STANDING_TEST_MICROS = {"seedancee2": 10_000 * MICROS_PER_CREDIT, "nextapi": 35 * MICROS_PER_CREDIT}
"""What a test balance refills itself to when it falls short, by contract: the price of thirteen of the dearest videos.

Of either contract that is 15 seconds of pro at 1080p, 750 credits or 2.625: so nobody needs an operator in test.
"""
TEST_DAY_MICROS = {contract: 10 * micros for contract, micros in STANDING_TEST_MICROS.items()}
"""What a new account may spend in a UTC day in test, by contract: it is free, but its results take storage."""
CALLS_PER_MINUTE = {"business": 600, "admin": 300}
"""Of a key by its kind, where its rules name no number."""
ACCOUNT_JOBS_AT_ONCE = 100
"""In each environment, where the rules of the account name no number."""


class HoldState(StrEnum):
    """Where a hold is in its life. PROVISIONAL and CONFIRMED are left once; all others are final."""

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
    refunded_micros: int
    """Given back after it was captured."""
    state: HoldState
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class NewHold:
    """Credits to set aside, counted to the spending of the account and of the key, if any."""

    hold_id: str
    account_id: str
    environment: str
    amount_micros: int
    key_id: str | None


@dataclass(frozen=True, kw_only=True)
class HoldChange:
    """A request to confirm, capture or release a hold. Credits that are not captured go back."""

    hold_id: str
    state: HoldState
    captured_micros: int = 0
    lasts_seconds: int = 0
    """How long a confirmed hold lasts from now, at least."""


@dataclass(frozen=True, kw_only=True)
class Refund:
    """A request to give back captured credits, under an id that makes repeating harmless."""

    refund_id: str
    hold_id: str
    amount_micros: int
    reason: str


class LimitPeriod(StrEnum):
    """What a spend limit is for: one job, a UTC day or a UTC month."""

    JOB = "job"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, kw_only=True)
class LimitReached:
    """A spend limit that leaves too little, of an account or of a key."""

    subject_id: str
    period: LimitPeriod
    limit_micros: int
    spent_micros: int


@dataclass(frozen=True, kw_only=True)
class HoldRefusal:
    """Why the ledger refused a request, with the hold, the balance or the limit that explains it."""

    reason: Reason
    hold: Hold | None = None
    available_micros: int = 0
    limit: LimitReached | None = None


class AdjustmentKind(StrEnum):
    """How an operator changes a balance: a grant adds, a correction adds or takes."""

    GRANT = "grant"
    CORRECTION = "correction"


@dataclass(frozen=True, kw_only=True)
class Adjustment:
    """Credits that an operator adds, or takes when negative, under an id that makes repeating harmless."""

    kind: AdjustmentKind
    adjustment_id: str
    account_id: str
    environment: str
    amount_micros: int
    note: AuditNote


@dataclass(frozen=True, kw_only=True)
class AdjustmentRefusal:
    """Why no credits moved, and what can be spent."""

    reason: Reason
    available_micros: int


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What an account has in one environment."""

    available_micros: int
    held_micros: int


@dataclass(frozen=True, kw_only=True)
class SpendLimits:
    """What may be spent at most. None does not limit; 0 forbids everything."""

    per_job_micros: int | None = None
    per_day_micros: int | None = None
    per_month_micros: int | None = None


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Limits, and what counts against them in the present UTC day and month."""

    limits: SpendLimits
    day_micros: int
    month_micros: int


@dataclass(frozen=True, kw_only=True)
class Funds:
    """What an account has and may spend in one environment."""

    environment: str
    balance: Balance
    spending: Spending


@dataclass(frozen=True, kw_only=True)
class AccountRules:
    """How an account may be used."""

    jobs_at_once: int | None = None
    """Of its jobs, at providers, in each environment. None: ACCOUNT_JOBS_AT_ONCE."""
    moderation_profile: str = ""
    """Empty: the configured default."""


@dataclass(frozen=True, kw_only=True)
class KeyRules:
    """How a key may be used."""

    kind: str = "business"
    """`business` or `admin`."""
    calls_per_minute: int | None = None
    """In any 60 seconds. None: what CALLS_PER_MINUTE says of its kind."""
    jobs_at_once: int | None = None
    """Of its jobs, at providers. None: as many as the account's."""
    moderation_profiles: tuple[str, ...] = ()
    """What a request may choose besides the account's, in the order of the alphabet."""


@dataclass(frozen=True, kw_only=True)
class NewAccount:
    """An account about to be opened."""

    account_id: str
    name: str
    contract: str


@dataclass(frozen=True, kw_only=True)
class Account:
    """A customer who pays."""

    account_id: str
    name: str
    contract: str
    created_at: datetime
    suspended_at: datetime | None
    rules: AccountRules
    funds: tuple[Funds, ...]
    """By environment, in the order of their names."""


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
    account_id: str
    environment: str
    hint: str
    models: tuple[str, ...]
    """Public names of the models it may use, in the order of the alphabet. Empty: all."""
    rules: KeyRules
    spending: Spending
    created_at: datetime
    disabled_at: datetime | None
    previous_until: datetime | None
    """Until when the secret before the last rotation works, if it still does."""


@dataclass(frozen=True, kw_only=True)
class SlotLease:
    """The slots of a key that a process has leased."""

    holder: str
    turn: int
    """Of the request that was answered with it."""
    accounted_count: int
    """How many uses that request reported. They are reported again until its answer is known."""
    until_us: int
    slots: Moments


@dataclass(frozen=True, kw_only=True)
class KeyCalls:
    """The slots of a key that are not free: those used in the last minute, and those that are leased."""

    key_id: str
    calls_per_minute: int
    """How many slots there are."""
    cooling: Moments
    """When slots that were used will be free."""
    held: tuple[SlotLease, ...]


@dataclass(frozen=True, kw_only=True)
class StatementRange:
    """Which movements of a balance to list: after a version, and between two moments, both included."""

    account_id: str
    environment: str
    start: datetime
    end: datetime
    after_version: int
    lines_max: int


@dataclass(frozen=True, kw_only=True)
class StatementLine:
    """One movement of a balance, and the balance after it."""

    version: int
    occurred_at: datetime
    kind: str
    reference: str
    reason: str
    to_available_micros: int
    to_held_micros: int
    available_micros: int
    held_micros: int


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one second of a model's video costs."""

    model: str
    resolution: str
    environment: str
    micros_per_second: int


@dataclass(frozen=True, kw_only=True)
class NewPrices:
    """A version of prices to store."""

    version: str
    valid_from: datetime | None
    """None: the moment it is stored."""
    prices: tuple[Price, ...]
    note: AuditNote


@dataclass(frozen=True, kw_only=True)
class PriceVersion:
    """Prices that apply from a moment on, until a later version sets them again. Never changed."""

    version: str
    valid_from: datetime
    prices: tuple[Price, ...]


class PriceRefusal(StrEnum):
    """Why a version of prices was not stored."""

    MOMENT_PAST = "moment past"
    MOMENT_TAKEN = "moment taken"
    """Another version sets one of the prices from the same moment on."""


class LedgerPart(StrEnum):
    """A part of the ledger that is checked by itself. Together they are all of it."""

    TRANSACTIONS = "transactions"
    HOLDS = "holds"
    BALANCES = "balances"
    SPENDING = "spending"
