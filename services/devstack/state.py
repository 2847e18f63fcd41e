"""The state file of a running stack: `stack.json` in its data folder. A clean stop removes it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from services.devstack.errors import StackError
from services.devstack.folder import write_secret
from services.devstack.identity import Identity, is_alive, stop_leftovers

FILE_NAME = "stack.json"


@dataclass(frozen=True, kw_only=True)
class ProcessState:
    """One process, as it was last started."""

    name: str
    pid: int
    started: float
    """When the process began, in seconds since 1970, which distinguishes a reused pid."""
    port: int
    restarts: int
    ready: bool

    @property
    def identity(self) -> Identity:
        """The identity of the process."""
        return Identity(self.pid, self.started)


@dataclass(frozen=True, kw_only=True)
class StackState:
    """Everything a command needs to know about a running stack."""

    supervisor: Identity
    ready: bool
    """Whether every process answers and the demo account exists."""
    edge: str
    grpc: Mapping[str, Mapping[str, str]]
    """`host:port` of the `public`, `internal` and `admin` ports, by service."""
    database: Mapping[str, str]
    """Database addresses by service."""
    processes: Sequence[ProcessState]
    phases: Mapping[str, float]
    """Seconds that each phase of the start took, in order."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """`host:port` of the ports that Prometheus reads, by process. Stacks of earlier versions name none."""


NOTHING_RUNS: dict[str, Any] = {
    "ready": False,
    "edge": None,
    "grpc": {},
    "database": {},
    "processes": [],
    "phases": {},
    "metrics": {},
}
"""What `status --json` shows if no stack runs."""


def write_state(root: Path, state: StackState) -> None:
    """Replaces the state file atomically. Only its owner can read it, because it has passwords."""
    write_secret(root / FILE_NAME, json.dumps(asdict(state), indent=2))


def remove_state(root: Path) -> None:
    """Records that nothing of this stack is running."""
    (root / FILE_NAME).unlink(missing_ok=True)


def read_state(root: Path) -> StackState | None:
    """Returns the last state written, even if its supervisor is dead. None after a clean stop."""
    try:
        raw = json.loads((root / FILE_NAME).read_text())
    except FileNotFoundError:
        return None
    return _from_json(raw)


def running_state(root: Path) -> StackState | None:
    """Returns the state of the stack that runs on this folder, or None.

    It is not ready if a process has died since the state was written.
    """
    state = read_state(root)
    if state is None or not is_alive(state.supervisor):
        return None
    return replace(
        state, ready=state.ready and all(is_alive(process.identity) for process in state.processes)
    )


def require_running(root: Path) -> StackState:
    """Returns the state of the stack that runs on this folder. Raises StackError if there is none."""
    state = running_state(root)
    if state is None:
        raise StackError(f"No stack runs on {root}. Start one with `reelgate up`.")
    return state


def clear_leftovers(root: Path) -> int:
    """Stops the processes that a dead supervisor of this folder left running. Returns how many processes that were."""
    left = read_state(root)
    stopped = 0 if left is None else stop_leftovers([process.identity for process in left.processes])
    remove_state(root)
    return stopped


def _from_json(raw: dict[str, Any]) -> StackState:
    supervisor = Identity(**raw.pop("supervisor"))
    processes = [ProcessState(**process) for process in raw.pop("processes")]
    return StackState(supervisor=supervisor, processes=processes, **raw)
