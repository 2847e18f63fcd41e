"""Whose endpoints, deliveries and listeners a call is about."""

from services.common.auth.authentication import Caller, view_of_caller
from services.webhooks.domain import Owner


def owner() -> Owner:
    """Returns the owner that the caller's key belongs to. Only inside an authenticated method."""
    return view_of_caller(_owner_of)


def _owner_of(found: Caller) -> Owner:
    return Owner(account_id=found.account_id, environment=found.environment, contract=found.contract)
