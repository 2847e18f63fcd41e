"""Who changes something and why, and the entry that records it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class AuditNote:
    """Who changes something, and why."""

    actor: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """A change that an operator made. It is never altered; later ones have greater numbers."""

    number: int
    occurred_at: datetime
    actor: str
    action: str
    subject_id: str
    reason: str
    details_json: str
