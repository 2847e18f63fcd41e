"""Where the stack on a data folder is reached, and what its folder keeps for commands. Raises StackError when none runs."""

import json
import os
from pathlib import Path

from services.cli.admin.target import AdminTarget
from services.devstack.demo import read_demo_account
from services.devstack.environment import child_environment
from services.devstack.errors import StackError
from services.devstack.folder import StackFolder
from services.devstack.state import StackState, require_running

__all__ = [
    "StackError",
    "admin_address",
    "demo_key",
    "edge",
    "environments",
    "operator_tls",
    "target_of",
]


def admin_address(service: str, *, root: Path) -> str:
    """Returns `host:port` of a service's admin port."""
    return require_running(root).grpc[service]["admin"]


def environments(root: Path) -> dict[str, dict[str, str]]:
    """Returns the environment of each running service, by name: of its API, where that is a process apart."""
    state = require_running(root)
    # A process that is a fork shows the environment of what it was forked from.
    own = json.loads(StackFolder(root).environments.read_text(encoding="utf-8"))
    return {
        service: child_environment(os.environ, own[process.name])
        for process in state.processes
        for service in state.grpc
        if process.name in {service, f"{service}-api"}
    }


def operator_tls(root: Path) -> Path:
    """Returns the folder of the operator's certificate, whether or not a stack runs."""
    return StackFolder(root).operator_tls


def target_of(state: StackState, service: str, *, root: Path) -> AdminTarget:
    """Returns the admin port of a service in a state that is already known."""
    return AdminTarget(address=state.grpc[service]["admin"], tls=operator_tls(root))


def edge(root: Path) -> str:
    """Returns the address of the edge, without a path."""
    return require_running(root).edge


def demo_key(root: Path, *, environment: str = "live") -> str:
    """Returns the demo account's key of an environment."""
    account = read_demo_account(StackFolder(root).demo_account)
    if account is None:
        raise StackError("The demo account does not exist yet: wait for `reelgate up`, or give a --key.")
    return account.keys[environment]
