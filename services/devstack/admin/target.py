"""Where operators reach a service."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AdminTarget:
    """The admin port of a service."""

    address: str
    """`host:port`."""
