"""The account that a local stack comes with."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from services.devstack.folder import write_secret

NAME = "demo"
CONTRACT = "seedancee2"
CREDITS = 10_000


@dataclass(frozen=True, kw_only=True)
class DemoAccount:
    """The demo account and its secrets, each by environment."""

    account_id: str
    keys: dict[str, str]
    webhook_secrets: dict[str, str]


def read_demo_account(path: Path) -> DemoAccount | None:
    """Returns the demo account of a stack, or None before its first start."""
    try:
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    if "webhook_secret" in kept:  # written by a release with one secret for both environments
        kept["webhook_secrets"] = dict.fromkeys(kept["keys"], kept.pop("webhook_secret"))
    return DemoAccount(**kept)


def write_demo_account(path: Path, account: DemoAccount) -> None:
    """Keeps the demo account for later starts, and for commands that need a key."""
    write_secret(path, json.dumps(asdict(account), indent=2))
