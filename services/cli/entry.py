"""Where the `reelgate` command begins. What is for customers starts without what is for operators."""

import sys
from collections.abc import Sequence

CUSTOMERS = frozenset(
    {
        "balance", "completion", "doctor", "estimate", "jobs", "login", "logout", "models", "run", "trigger", "usage",
        "webhooks", "whoami",
    }
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words and words[0] in CUSTOMERS:
        from reelgate_client.cli import main as run_customers

        run_customers(words, name="reelgate")
    else:
        from services.cli.app import main as run_any

        run_any(words)
