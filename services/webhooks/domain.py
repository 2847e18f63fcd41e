"""What webhooks knows: events, deliveries, when a failed one is tried again, and how each is signed."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

SECRET_PREFIX = "whsec_"  # noqa: S105  the public part of every secret
SECRET_BYTES = 32
CALLBACK_TARGET = "callback"
"""Target id of the callback address of a job. Other targets have their own ids."""

RETRY_SECONDS = (60, 300, 1_800, 7_200, 43_200)
"""The wait after each failed attempt. After one more there is none."""
ATTEMPTS_MAX = len(RETRY_SECONDS) + 1
RETRY_AFTER_SECONDS_MAX = 12 * 3_600
"""A receiver may ask for a pause of at most the longest wait in the schedule."""
GONE_STATUS = 410
FAILING_DAYS_MAX = 5
"""An endpoint that has failed for longer than this is disabled by its next failure."""
RECEIVER_MAX = 16
"""What one dispatcher attempts at the same time at one host, for one account."""
ACCOUNT_MAX = 64
"""What one dispatcher attempts at the same time for one account."""
ENDPOINT_DISABLED = "webhook_endpoint.disabled"
"""Type of the event that tells the other endpoints of an account."""
OUTAGE_WAIT_SECONDS = 5
OUTAGE_WAIT_SECONDS_MAX = 300
POSTPONEMENTS_MAX = 290
"""About a day of waiting for our own side. A name that resolves to an error for longer is not our fault."""
EXCERPT_BYTES_MAX = 2_048
USER_AGENT = "Reelgate-Webhooks/1"
TEST_HEADER = "X-Reelgate-Test"
"""Is `true` on what comes from the test environment, and on test events of endpoints."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a job, and the exact bytes that tell its customer."""

    event_id: str
    job_id: str
    account_id: str
    environment: str
    contract: str
    type: str
    sequence: int
    target_url: str
    """Where to deliver besides the account's endpoints; empty when the job came without an address."""
    body: bytes = field(repr=False)
    occurred_at: datetime


@dataclass(frozen=True, kw_only=True)
class DisabledEndpoint:
    """An endpoint that was disabled, by its own answer or for failing. Its account has not been told yet."""

    endpoint_id: str
    account_id: str
    environment: str
    contract: str
    url: str
    reason: str
    disabled_at: datetime
    disabled_count: int
    """How often it has been disabled so far."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The event that is next for one target and job, leased to us under a number that is never given twice."""

    job_id: str
    target_id: str
    receiver_id: str
    """The account, and the host and port it goes to: one for all endpoints and callbacks there."""
    account_id: str
    environment: str
    lease_no: int
    attempt_count: int
    """Failed attempts of this event before."""
    postponement_count: int
    """How often in a row the next attempt could not be made, through no fault of the receiver."""
    event_id: str
    contract: str
    type: str
    target_url: str
    body: bytes = field(repr=False)
    sealed_secrets: Sequence[bytes] = field(repr=False)
    """What signs, encrypted, in this order. None: the account does not sign."""
    untried_since: datetime | None = None
    """When the event was committed, if it has never been tried at this target. None: it has."""
    traceparent: str | None = None
    """The span that took the event over. None: its job is not traced."""


@dataclass(frozen=True, kw_only=True)
class FreeCapacity:
    """How many more deliveries may be claimed, where that is not RECEIVER_MAX or ACCOUNT_MAX."""

    receivers: Mapping[str, int] = field(default_factory=dict)
    accounts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What a claim brought."""

    deliveries: Sequence[Delivery]
    is_cut: bool
    """Whether more may be due that there is room for."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A receiver answered in time."""

    status: int
    excerpt: bytes
    """The first EXCERPT_BYTES_MAX of its body."""
    retry_after_seconds: int = 0
    """How long a pause it asks for."""


@dataclass(frozen=True, kw_only=True)
class NoAnswer:
    """A receiver did not answer, or was never asked."""

    error: str
    is_ours: bool
    """Whether the fault is on our side, so that the attempt does not count."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try at a delivery."""

    delivery: Delivery
    started_at: datetime
    latency_ms: int
    result: Answer | NoAnswer


class Outcome(StrEnum):
    """What becomes of a delivery after an attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """To be tried again, as an attempt that counts."""
    DEAD_LETTERED = "dead_lettered"
    """Given up but kept. The job's next event may be delivered."""
    POSTPONED = "postponed"
    """To be tried again; the attempt does not count."""


class Health(StrEnum):
    """What an attempt says of the endpoint it went to."""

    WELL = "well"
    FAILING = "failing"
    GONE = "gone"
    """It wants no more webhooks."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """An attempt, what becomes of its delivery, and in how many seconds that is tried again."""

    attempt: Attempt
    outcome: Outcome
    health: Health
    wait_seconds: int = 0

    @property
    def is_overload(self) -> bool:
        """Whether the receiver gave no answer or said that it cannot serve at present."""
        result = self.attempt.result
        if isinstance(result, Answer):
            return result.status >= 500
        return self.outcome is not Outcome.POSTPONED


def judge(attempt: Attempt) -> Verdict:
    """Returns what follows from an attempt: only a 2xx status is a success, whatever comes after the status line."""
    delivery, result = attempt.delivery, attempt.result
    if isinstance(result, Answer) and 200 <= result.status < 300:
        return Verdict(attempt=attempt, outcome=Outcome.DELIVERED, health=Health.WELL)
    if isinstance(result, Answer) and result.status == GONE_STATUS:
        return Verdict(attempt=attempt, outcome=Outcome.DEAD_LETTERED, health=Health.GONE)
    if isinstance(result, NoAnswer) and result.is_ours and delivery.postponement_count < POSTPONEMENTS_MAX:
        wait_seconds = OUTAGE_WAIT_SECONDS * 2 ** min(delivery.postponement_count, 10)
        return Verdict(
            attempt=attempt,
            outcome=Outcome.POSTPONED,
            health=Health.UNKNOWN,
            wait_seconds=min(wait_seconds, OUTAGE_WAIT_SECONDS_MAX),
        )
    if delivery.attempt_count + 1 >= ATTEMPTS_MAX:
        return Verdict(attempt=attempt, outcome=Outcome.DEAD_LETTERED, health=Health.FAILING)
    asked_seconds = result.retry_after_seconds if isinstance(result, Answer) else 0
    return Verdict(
        attempt=attempt,
        outcome=Outcome.FAILED,
        health=Health.FAILING,
        wait_seconds=max(RETRY_SECONDS[delivery.attempt_count], min(asked_seconds, RETRY_AFTER_SECONDS_MAX)),
    )


def new_secret(random_bytes: Callable[[int], bytes]) -> str:
    """Returns a signing secret: `whsec_` and the base64 of 32 random bytes."""
    return SECRET_PREFIX + b64encode(random_bytes(SECRET_BYTES)).decode()


ENDPOINTS_MAX = 100
"""Of one account in one environment."""
TEST_EVENT = "webhook.test"
JOB_EVENTS: Mapping[str, tuple[str, ...]] = {
    "seedancee2": ("video.generation.completed", "video.generation.failed"),
    "nextapi": ("job.queued", "job.running", "job.succeeded", "job.failed", "job.canceled"),
}
"""What an endpoint takes unless it says otherwise, by contract. ENDPOINT_DISABLED may be asked for besides."""
OVERLAP_HOURS = 24
"""How long a replaced secret still signs beside the new one."""
REDELIVERY_DAYS_MAX = 30


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose endpoints and deliveries: an account in one environment, on one contract."""

    account_id: str
    environment: str
    contract: str


@dataclass(frozen=True, kw_only=True)
class Signing:
    """How the callbacks of an account are signed in an environment."""

    account_id: str
    environment: str
    is_signing: bool
    is_rotating: bool
    """Whether a new secret waits to be confirmed."""
    previous_until: datetime | None
    """Until when the secret before signs beside. None when it does not."""


@dataclass(frozen=True, kw_only=True)
class Resealed:
    """The result of encrypting a batch of rows again."""

    examined_count: int
    resealed_count: int
    unreadable_count: int
    """Rows that none of the keys opens: they stay as they are."""
    next_page_token: str
    """Where to go on. Empty at the end."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An address that is told about every job of its owner."""

    endpoint_id: str
    url: str
    events: tuple[str, ...]
    description: str
    is_enabled: bool
    disabled_reason: str | None
    is_rotating: bool
    """Whether a new secret waits to be confirmed."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class EndpointChange:
    """What to change about an endpoint. None: nothing."""

    url: str | None
    events: tuple[str, ...] | None
    description: str | None
    is_enabled: bool | None


class DeliveryStatus(StrEnum):
    """Where a delivery is, as its owner sees it."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD_LETTERED = "dead_lettered"


@dataclass(frozen=True, kw_only=True)
class DeliveryKey:
    """Which delivery: an event's place among those of its job, and where it goes."""

    job_id: str
    sequence: int
    target_id: str


@dataclass(frozen=True, kw_only=True)
class PastAttempt:
    """One attempt, as it was recorded."""

    number: int
    started_at: datetime
    latency_ms: int
    status: int | None
    error: str | None
    excerpt: bytes | None


@dataclass(frozen=True, kw_only=True)
class ListedDelivery:
    """A delivery, as its owner sees it."""

    key: DeliveryKey
    event_id: str
    type: str
    url: str
    status: DeliveryStatus
    attempt_count: int
    next_attempt_at: datetime | None
    """Unless it is being attempted, has ended, or waits for an earlier event of its job."""
    accepted_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries to list. None: any."""

    endpoint_id: str | None
    job_id: str | None
    status: DeliveryStatus | None
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, kw_only=True)
class Redelivery:
    """A task that delivers again what was given up in a range of time."""

    redelivery_id: str
    endpoint_id: str | None
    start_at: datetime
    end_at: datetime
    examined_count: int
    redelivered_count: int
    created_at: datetime
    ended_at: datetime | None


LISTENERS_MAX = 10
"""Of one account in one environment."""
LISTENER_SECONDS = {"live": 3_600, "test": 24 * 3_600}
"""How long a listener lasts after it was last read, by environment. In `test` somebody may close a laptop over night."""


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A place from which webhooks are fetched."""

    listener_id: str
    events: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    """When it ends, unless it is read before."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """An event, as a listener is told of it."""

    number: int
    """Its place among those of the listener: from 1, without gaps."""
    event_id: str
    environment: str
    contract: str
    type: str
    body: bytes = field(repr=False)
    accepted_at: datetime


@dataclass(frozen=True, kw_only=True)
class HeardPage:
    """What comes after a place of a listener, and what signs it."""

    heard: Sequence[Heard]
    sealed_secret: bytes = field(repr=False)
    expires_at: datetime
