"""Tables for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from services.devstack.accounts import ListedKey
from services.devstack.state import StackState


def print_keys(keys: Sequence[ListedKey]) -> None:
    """Prints the keys of an account."""
    table = Table("key", "environment", "looks like", "issued", "disabled")
    for key in keys:
        table.add_row(key.key_id, key.environment, key.hint, key.created_at, key.disabled_at or "")
    Console().print(table)


def print_status(state: StackState) -> None:
    """Prints where a stack is reached and how its processes fare."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{'Ready' if state.ready else 'Not ready'}: {state.edge}")
    for service, addresses in state.grpc.items():
        console.print(f"{service}: " + ", ".join(f"{port} {address}" for port, address in addresses.items()))
    for url in state.database.values():
        console.print(url)
    table = Table("process", "pid", "port", "restarts", "ready")
    for process in state.processes:
        facts = (process.pid, process.port, process.restarts, "yes" if process.ready else "no")
        table.add_row(process.name, *map(str, facts))
    console.print(table)
