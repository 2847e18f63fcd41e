"""A stack in the background: started and stopped from outside its supervisor."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from services.devstack.errors import StackError
from services.devstack.folder import StackFolder
from services.devstack.identity import is_alive
from services.devstack.lock import stack_lock
from services.devstack.log_files import open_log, tail
from services.devstack.state import StackState, clear_leftovers, read_state, running_state

START_SECONDS_MAX = 100.0
STOP_SECONDS_MAX = 30.0
POLL_SECONDS = 0.05
ERROR_LINES_MAX = 30


def start_detached(folder: StackFolder, command: Sequence[str]) -> StackState:
    """Runs `command`, a `reelgate up`, in a session of its own. Returns once the stack is ready.

    Raises StackError with the output of the supervisor if it gives up.
    """
    folder.logs.mkdir(parents=True, exist_ok=True)
    with stack_lock(folder.root):
        pass  # fail here, not in a log file
    with open_log(folder.supervisor_log) as output:
        output.truncate(0)
        supervisor = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,
        )
    try:
        return _until_ready(folder, supervisor)
    except BaseException:
        supervisor.terminate()
        supervisor.wait(STOP_SECONDS_MAX)
        raise


def stop_stack(root: Path) -> bool:
    """Stops the stack on a data folder, or what a killed supervisor left of it. Returns whether anything ran.

    Raises StackError when the supervisor does not stop within STOP_SECONDS_MAX.
    """
    state = running_state(root)
    if state is None:
        return clear_leftovers(root) > 0
    os.kill(state.supervisor.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while is_alive(state.supervisor):
        if time.monotonic() > deadline:
            raise StackError(f"Process {state.supervisor.pid} did not stop within {STOP_SECONDS_MAX:.0f} s.")
        time.sleep(POLL_SECONDS)
    return True


def _until_ready(folder: StackFolder, supervisor: subprocess.Popen[bytes]) -> StackState:
    deadline = time.monotonic() + START_SECONDS_MAX
    while supervisor.poll() is None:
        state = read_state(folder.root)
        if state is not None and state.supervisor.pid == supervisor.pid and state.ready:
            return state
        if time.monotonic() > deadline:
            raise StackError(f"The stack is not ready after {START_SECONDS_MAX:.0f} s. See {folder.logs}.")
        time.sleep(POLL_SECONDS)
    output = tail(folder.supervisor_log, lines_max=ERROR_LINES_MAX)
    error = re.search(r"^Error: (.*)", output, re.MULTILINE | re.DOTALL)
    raise StackError(error[1] if error else output)
