"""A real stack for end-to-end tests, driven by the command that people use."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.common.tls.files import TlsFolder
from services.devstack.folder import StackFolder
from services.devstack.identity import is_alive
from services.devstack.postgres import Cluster
from services.devstack.processes import cluster
from services.devstack.state import read_state
from tests.patience import PATIENCE_SECONDS

OFTEN = ("--calls-per-minute", "100000")


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account of either contract."""

    account_id: str
    keys: dict[str, str]
    """A whole key for `live` and one for `test`."""
    webhook_secrets: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running stack, as `reelgate up` starts it."""

    edge: str
    """`http://host:port`."""
    folder: Path
    """Its data folder."""
    announcement: str
    """What `reelgate up` printed."""

    def tls_of(self, name: str) -> TlsFolder:
        """Returns the certificate of a service, or of the operator."""
        return TlsFolder(StackFolder(self.folder).tls / name)

    def cluster(self) -> Cluster:
        """Returns the PostgreSQL cluster, as its superuser."""
        [port] = [process["port"] for process in self.status()["processes"] if process["name"] == "postgres"]
        return cluster(StackFolder(self.folder), port)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a `reelgate` command on this stack, whatever comes of it."""
        return reelgate(*arguments, "--data", str(self.folder))

    def answer(self, *arguments: str) -> Any:
        """Runs a `reelgate` command on this stack that must succeed. Returns what it prints with `--json`."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def status(self) -> dict[str, Any]:
        """Returns the present status, ready or not."""
        shown: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return shown

    def until_ready(self) -> dict[str, Any]:
        """Waits until everything answers, after a process of the stack was stopped. Returns the status."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (status := self.status())["ready"]:
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
        return status

    def create_account(
        self, name: str = "tests", *, credits_each: str = "100000", contract: str = "seedancee2"
    ) -> Account:
        """Opens an account with `credits_each` in either environment, whose keys tests may poll with."""
        options = ("--credits", credits_each, "--contract", contract, *OFTEN)
        return Account(**self.answer("account", "create", name, *options))


def reelgate(*arguments: str, timeout_seconds: float = PATIENCE_SECONDS) -> subprocess.CompletedProcess[str]:
    """Runs the `reelgate` command."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


@contextmanager
def running_stack(*options: str) -> Iterator[Stack]:
    """Starts a stack of its own in a temporary folder, on a free port; afterwards nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="reelgate-stack-"))
    place = ("--data", str(folder))
    try:
        started = reelgate(
            "up", "--detach", "--port", "0", *options, *place, timeout_seconds=PATIENCE_SECONDS
        )
        assert started.returncode == 0, started.stderr
        state = json.loads(reelgate("status", "--json", *place).stdout)
        yield Stack(edge=state["edge"], folder=folder, announcement=started.stdout)
    finally:
        left = read_state(folder)
        stopped = reelgate("down", *place)
        shutil.rmtree(folder, ignore_errors=True)
        assert stopped.returncode == 0, stopped.stderr
        assert left is None or not any(is_alive(process.identity) for process in left.processes)
