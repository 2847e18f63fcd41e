"""Names and secrets that are unique."""

import secrets
from datetime import datetime

from ulid import ULID


def new_id(prefix: str, at: datetime | None = None) -> str:
    """Returns `prefix`, an underscore and the lower-case ULID: ids of later moments (default: now) sort after earlier ones."""
    return f"{prefix}_{new_ulid(at)}"


def new_ulid(at: datetime | None = None) -> str:
    """Returns a lower-case ULID of a moment (default: now), for an id whose prefix is not known yet."""
    return str(ULID() if at is None else ULID.from_datetime(at)).lower()


def new_token() -> str:
    """Returns 43 URL-safe characters that hold 256 random bits."""
    return secrets.token_urlsafe(32)
