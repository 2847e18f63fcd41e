"""Events: what customers are told about changes of a job."""

from dataclasses import dataclass
from datetime import datetime

from services.jobs.domain.requests import Owner


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """What a customer is told about a change to a job, as its contract says it."""

    id: str
    type: str
    sequence: int
    """From 1 for each job, without gaps."""
    body: bytes
    occurred_at: datetime


@dataclass(frozen=True, kw_only=True)
class OutboxEvent:
    """Something that happened to a job, on its way to the customer."""

    event_id: str
    job_id: str
    owner: Owner
    type: str
    sequence: int
    target_url: str
    """Where to deliver besides the account's endpoints; empty when the job came without an address."""
    body: bytes
    occurred_at: datetime
    traceparent: str | None = None
    """That of its job."""
