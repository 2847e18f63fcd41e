"""Accounts and keys, as operators see them."""

from dataclasses import dataclass

ENVIRONMENTS = ("live", "test")


@dataclass(frozen=True, kw_only=True)
class NewAccount:
    """A new account, and the secrets that are shown only now."""

    account_id: str
    keys: dict[str, str]
    """One whole key for each environment."""
    webhook_secret: str


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A new key, with the secret that is shown only now."""

    key_id: str
    environment: str
    secret: str
    created_at: str


@dataclass(frozen=True, kw_only=True)
class ListedKey:
    """A key as it is shown after its issue."""

    key_id: str
    environment: str
    hint: str
    created_at: str
    disabled_at: str | None
