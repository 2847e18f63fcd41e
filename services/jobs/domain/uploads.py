"""Files that customers send to us, to name them in requests."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.media.reference_rules import MEDIA_TYPES, ReferenceKind

PUT_TIME = timedelta(minutes=15)
"""How long a file may take to come."""
UNUSED_TIME = timedelta(hours=24)
"""How long an upload is kept that no task names."""
USED_TIME = timedelta(days=7)
"""How long one is kept after a task was accepted that names it: longer than any task can last."""
READ_TIME = timedelta(hours=24)
"""How long a provider can read a file at the address that it is given."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file that was announced, and perhaps has arrived."""

    id: str
    account_id: str
    environment: str
    name: str
    """Of the file. Nobody can guess it."""
    media_type: str
    byte_count: int
    """As arrived; before that the most that it may have."""
    arrived_at: datetime | None = None
    created_at: datetime
    put_until: datetime
    kept_until: datetime

    @property
    def kind(self) -> ReferenceKind:
        """What the file is for."""
        return MEDIA_TYPES[self.media_type]


@dataclass(frozen=True, kw_only=True)
class UploadUse:
    """A reference of a request that names an upload."""

    field: str
    """As the sender calls it."""
    name: str
    """Of the file."""
    kind: ReferenceKind


@dataclass(frozen=True, kw_only=True)
class UploadQuota:
    """What an account may have uploaded in an environment, together with what it has announced."""

    count_max: int
    byte_count_max: int
