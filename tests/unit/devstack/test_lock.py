import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.devstack.errors import StackError
from services.devstack.lock import stack_lock

HOLD = """
import pathlib, sys, time
from services.devstack.lock import stack_lock
with stack_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_held_folder_is_refused_and_the_holder_is_named(tmp_path: Path) -> None:
    with (
        stack_lock(tmp_path),
        pytest.raises(StackError, match=rf"already runs on .* \(process {os.getpid()}\)"),
        stack_lock(tmp_path),
    ):
        pass


def test_a_killed_holder_leaves_the_folder_free(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        holder.wait(10)

    with stack_lock(tmp_path):
        assert (tmp_path / "stack.lock").read_text() == f"{os.getpid()}\n"
