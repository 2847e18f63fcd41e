"""Where operators reach a service."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class AdminTarget:
    """The admin port of a service."""

    address: str
    """`host:port`."""
    tls: Path
    """Folder with the operator's `tls.crt` and `tls.key`, and the `ca.crt` of those that it trusts."""
