"""What operators send and are shown, as plain values. Amounts are micro-credits, moments RFC 3339 in UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ENVIRONMENTS = ("live", "test")


@dataclass(frozen=True, kw_only=True)
class Note:
    """Who changes something, and why."""

    actor: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class NewAccount:
    """A new account, and the secrets that are shown only now."""

    account_id: str
    keys: dict[str, str]
    """One whole key for each environment."""
    webhook_secrets: dict[str, str]
    """What signs in each environment."""


@dataclass(frozen=True, kw_only=True)
class Signing:
    """How webhooks to the callback addresses of an account are signed in an environment."""

    account_id: str
    environment: str
    signing: bool
    rotating: bool
    """Whether a new secret waits to be confirmed."""
    previous_until: str | None
    secret: str | None
    """Only when it was just made."""


@dataclass(frozen=True, kw_only=True)
class Resealed:
    """What encrypting everything anew did."""

    examined_count: int
    resealed_count: int
    unreadable_count: int
    """Rows that none of the keys opens."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may be spent at most. None does not limit."""

    per_job_micros: int | None
    per_day_micros: int | None
    per_month_micros: int | None


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What may be spent, and what was spent in the present UTC day and month."""

    limits: Limits
    day_micros: int
    month_micros: int


@dataclass(frozen=True, kw_only=True)
class Funds:
    """What an account has in one environment."""

    environment: str
    available_micros: int
    held_micros: int
    spending: Spending


@dataclass(frozen=True, kw_only=True)
class AccountRules:
    """How an account may be used. None has the default."""

    jobs_at_once: int | None
    """Of its jobs, at providers, in each environment."""
    moderation_profile: str | None


@dataclass(frozen=True, kw_only=True)
class KeyRules:
    """How a key may be used. None has the default."""

    kind: str | None
    """`business` or `admin`."""
    calls_per_minute: int | None
    """In any 60 seconds."""
    jobs_at_once: int | None
    """Of its jobs, at providers."""
    moderation_profiles: Sequence[str]
    """What a request may choose besides the account's."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """Whoever pays."""

    account_id: str
    name: str
    contract: str
    created_at: str
    suspended_at: str | None
    rules: AccountRules
    funds: Sequence[Funds]


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key that was just issued or rotated, with the secret that is shown only now."""

    key_id: str
    environment: str
    secret: str
    created_at: str
    previous_until: str | None
    """Until when the secret before it works, if one does."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key as it is shown after its issue."""

    key_id: str
    account_id: str
    environment: str
    hint: str
    created_at: str
    disabled_at: str | None
    previous_until: str | None
    models: Sequence[str]
    """Empty: all."""
    rules: KeyRules
    spending: Spending


@dataclass(frozen=True, kw_only=True)
class StatementLine:
    """One movement of a balance, and the balance after it."""

    version: int
    occurred_at: str
    kind: str
    reference: str
    to_available_micros: int
    to_held_micros: int
    available_micros: int
    held_micros: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one second of video costs."""

    model: str
    resolution: str
    environment: str
    micros_per_second: int


@dataclass(frozen=True, kw_only=True)
class PriceVersion:
    """Prices that hold from a moment on."""

    version: str
    valid_from: str
    prices: Sequence[Price]


@dataclass(frozen=True, kw_only=True)
class UnfinishedJob:
    """A job that has not ended."""

    job_id: str
    account_id: str
    environment: str
    model: str
    state: str
    age_seconds: int
    """For how long it has been in that state."""
    created_at: str
    due_at: str
    check_count: int
    route: str | None
    task_id: str | None
    claim_count: int
    """In a row, without getting on."""
    stalled_seconds: int | None
    """Since the first of them failed."""
    last_error: str | None


@dataclass(frozen=True, kw_only=True)
class Stalled:
    """Jobs that do not move, although they are tried."""

    count: int
    longest: UnfinishedJob | None
    """None: there are none."""


@dataclass(frozen=True, kw_only=True)
class RefusedEvent:
    """An event that the webhooks service refused."""

    event_id: str
    job_id: str
    account_id: str
    environment: str
    type: str
    occurred_at: str
    due_at: str
    """When it is offered again."""
    refusal: str


@dataclass(frozen=True, kw_only=True)
class RefusedEvents:
    """Events that the webhooks service refused."""

    count: int
    oldest: Sequence[RefusedEvent]
    """As many as were asked for."""


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One change that an operator made."""

    service: str
    number: int
    occurred_at: str
    actor: str
    action: str
    subject_id: str
    reason: str
    details: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something in the books that does not agree."""

    service: str
    rule: str
    row: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class SettledJob:
    """What an end by hand changed."""

    job_id: str
    job_before: str
    job_after: str
    hold_before: str | None
    hold_after: str | None
    given_back_micros: int
    """Negative: so much was taken."""


@dataclass(frozen=True, kw_only=True)
class MendedJob:
    """A job and its hold that did not agree, and what was done about it."""

    job_id: str
    place: str
    holding: str
    move: str
    refusal: str
    """Why it could not be done. Empty: it was."""
