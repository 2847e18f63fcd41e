import os
from dataclasses import replace
from pathlib import Path

import pytest

from services.devstack.errors import StackError
from services.devstack.identity import Identity, identity_of
from services.devstack.state import (
    ProcessState,
    StackState,
    read_state,
    remove_state,
    require_running,
    running_state,
    write_state,
)


@pytest.fixture
def state() -> StackState:
    this = identity_of(os.getpid())
    process = ProcessState(name="jobs", pid=this.pid, started=this.started, port=3, restarts=4, ready=True)
    return StackState(
        supervisor=this,
        ready=True,
        edge="http://127.0.0.1:8080",
        grpc={"jobs": {"public": "127.0.0.1:7"}},
        database={"jobs": "postgresql://127.0.0.1/jobs"},
        processes=[process],
        phases={"services": 1.5},
        metrics={"jobs": "127.0.0.1:9"},
    )


def test_what_is_written_is_read(tmp_path: Path, state: StackState) -> None:
    write_state(tmp_path, replace(state, ready=False))
    write_state(tmp_path, state)

    assert read_state(tmp_path) == state
    assert running_state(tmp_path) == state
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_a_stack_is_not_ready_while_a_process_of_it_is_dead(tmp_path: Path, state: StackState) -> None:
    dead = replace(state.processes[0], started=state.processes[0].started - 60)
    write_state(tmp_path, replace(state, processes=[dead]))

    running = running_state(tmp_path)

    assert running is not None
    assert not running.ready


def test_a_removed_state_is_no_state(tmp_path: Path, state: StackState) -> None:
    write_state(tmp_path, state)

    remove_state(tmp_path)

    assert read_state(tmp_path) is None


def test_a_dead_supervisor_runs_nothing(tmp_path: Path, state: StackState) -> None:
    alive = state.supervisor
    write_state(tmp_path, replace(state, supervisor=Identity(alive.pid, alive.started - 60)))

    assert running_state(tmp_path) is None
    with pytest.raises(StackError, match="reelgate up"):
        require_running(tmp_path)
