"""What webhooks knows: events, deliveries, when a failed one is tried again, and how each is signed."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

SECRET_PREFIX = "whsec_"  # noqa: S105  the public part of every secret
SECRET_BYTES = 32
CALLBACK_TARGET = "callback"
"""Target of the address that came with a job. Other targets have ids of their own."""

RETRY_SECONDS = (60, 300, 1_800, 7_200, 43_200)
"""The wait after each failed attempt. After one more there is none."""
ATTEMPTS_MAX = len(RETRY_SECONDS) + 1
OUTAGE_WAIT_SECONDS = 5
OUTAGE_WAIT_SECONDS_MAX = 300
POSTPONEMENTS_MAX = 290
"""About a day of waiting for our own side. A name that resolves to an error for longer is not our fault."""
EXCERPT_BYTES_MAX = 2_048
USER_AGENT = "Reelgate-Webhooks/1"


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
    body: bytes = field(repr=False)
    occurred_at: datetime


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The event that is next for one target and job, leased to us under a number that is never given twice."""

    job_id: str
    target_id: str
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
    sealed_secret: bytes | None = field(repr=False)
    """What signs, encrypted. None: the account does not sign."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A receiver answered in time."""

    status: int
    excerpt: bytes
    """The first EXCERPT_BYTES_MAX of its body."""


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
    """Given up, kept, and out of the way of the job's next event."""
    POSTPONED = "postponed"
    """To be tried again; the attempt does not count."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """An attempt, what becomes of its delivery, and in how many seconds that is tried again."""

    attempt: Attempt
    outcome: Outcome
    wait_seconds: int = 0


def judge(attempt: Attempt) -> Judgement:
    """Returns what follows from an attempt: only a whole answer with a 2xx status is a success."""
    delivery, result = attempt.delivery, attempt.result
    if isinstance(result, Answer) and 200 <= result.status < 300:
        return Judgement(attempt=attempt, outcome=Outcome.DELIVERED)
    if isinstance(result, NoAnswer) and result.is_ours and delivery.postponement_count < POSTPONEMENTS_MAX:
        wait_seconds = OUTAGE_WAIT_SECONDS * 2 ** min(delivery.postponement_count, 10)
        return Judgement(
            attempt=attempt,
            outcome=Outcome.POSTPONED,
            wait_seconds=min(wait_seconds, OUTAGE_WAIT_SECONDS_MAX),
        )
    if delivery.attempt_count + 1 >= ATTEMPTS_MAX:
        return Judgement(attempt=attempt, outcome=Outcome.DEAD_LETTERED)
    return Judgement(
        attempt=attempt, outcome=Outcome.FAILED, wait_seconds=RETRY_SECONDS[delivery.attempt_count]
    )


def new_secret(random_bytes: Callable[[int], bytes]) -> str:
    """Returns a signing secret: `whsec_` and the base64 of 32 random bytes."""
    return SECRET_PREFIX + b64encode(random_bytes(SECRET_BYTES)).decode()


def render_headers(delivery: Delivery, *, secret: str | None, sent_at: int) -> dict[str, str]:
    """Returns the headers of one attempt, signed for the moment `sent_at`, in Unix seconds.

    Those of the event's contract stand beside those of Standard Webhooks (standardwebhooks.com, version 1).
    """
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(sent_at),
    }
    if secret is not None:
        headers["webhook-signature"] = _standard_signature(delivery, secret=secret, sent_at=sent_at)
    render = _CONTRACT_HEADERS.get(delivery.contract)
    if render is not None:
        headers |= render(delivery, secret, sent_at)
    return headers


def _standard_signature(delivery: Delivery, *, secret: str, sent_at: int) -> str:
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b"%s.%d.%s" % (delivery.event_id.encode(), sent_at, delivery.body)
    return "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode()


def _timed_signature(delivery: Delivery, *, secret: str, sent_at: int) -> str:
    # Both contracts key their signature with the bytes of the whole string, prefix included.
    signed = b"%d.%s" % (sent_at, delivery.body)
    return f"t={sent_at},v1={hmac.digest(secret.encode(), signed, 'sha256').hex()}"


def _seedancee2_headers(delivery: Delivery, secret: str | None, sent_at: int) -> dict[str, str]:
    headers = {"X-Seedancee2-Event": delivery.type}
    if secret is not None:
        headers["X-Seedancee2-Signature"] = _timed_signature(delivery, secret=secret, sent_at=sent_at)
    return headers


_CONTRACT_HEADERS: Mapping[str, Callable[[Delivery, str | None, int], dict[str, str]]] = {
    "seedancee2": _seedancee2_headers,
}
