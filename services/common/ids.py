"""Names and secrets that nobody else will choose."""

import secrets

from ulid import ULID


def new_id(prefix: str) -> str:
    """Returns `prefix`, an underscore and a lower-case ULID: later ids sort after earlier ones."""
    return f"{prefix}_{str(ULID()).lower()}"


def new_token() -> str:
    """Returns 43 URL-safe characters that hold 256 random bits."""
    return secrets.token_urlsafe(32)
