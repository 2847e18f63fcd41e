"""The account that a local stack comes with."""

import json
from dataclasses import asdict
from pathlib import Path

from services.devstack.admin.records import NewAccount
from services.devstack.folder import write_secret

NAME = "demo"
CONTRACT = "seedancee2"
CREDITS = 10_000


def read_demo_account(path: Path) -> NewAccount | None:
    """Returns the demo account of a stack, or None before its first start."""
    try:
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    if "webhook_secret" in kept:  # written while one secret signed in both environments
        kept["webhook_secrets"] = dict.fromkeys(kept["keys"], kept.pop("webhook_secret"))
    return NewAccount(**kept)


def write_demo_account(path: Path, account: NewAccount) -> None:
    """Keeps the demo account for later starts, and for commands that need a key."""
    write_secret(path, json.dumps(asdict(account), indent=2))
