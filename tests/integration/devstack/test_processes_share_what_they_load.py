"""Processes of a local stack are forks of one that has loaded what they share, and are handled like programs."""

import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from services.devstack import nursery as nurseries
from services.devstack.log_files import open_log
from services.devstack.nursery import Nursery
from services.devstack.processes import PYTHON, ProcessSpec
from services.devstack.programs import AdoptedProcess, Started
from tests.patience import PATIENCE_SECONDS

RENDER = ("services.edge", "render")


def module(*words: str, **environment: str) -> ProcessSpec:
    return ProcessSpec(
        name="a-module-of-ours",
        argv=[*PYTHON, *words],
        environment=environment,
        port=0,
        ready_at=(),
        stop_seconds=0.5,
    )


@pytest.fixture
async def nursery() -> AsyncIterator[Nursery]:
    opened = Nursery()
    yield opened
    opened.close()


def nursery_process() -> psutil.Process:
    [found] = [each for each in psutil.Process().children() if "nursery_process" in " ".join(each.cmdline())]
    return found


async def started(nursery: Nursery, spec: ProcessSpec, log: Path) -> Started:
    with open_log(log) as output:
        return await nursery.start(spec, output)


async def test_a_fork_is_a_process_of_its_own(nursery: Nursery, tmp_path: Path) -> None:
    spec = module(*RENDER, EDGE_LISTEN_ADDRESS="127.0.0.1:12345")

    process = await started(nursery, spec, tmp_path / "log")
    session, parent = os.getsid(process.pid), psutil.Process(process.pid).ppid()
    code = process.wait(PATIENCE_SECONDS)

    assert isinstance(process, AdoptedProcess)
    assert (session, parent, code) == (process.pid, os.getpid(), 0)
    assert "port_value: 12345" in (tmp_path / "log").read_text()
    # Nothing ever runs in what is forked.
    assert nursery_process().num_threads() == 1


async def test_how_a_fork_ends_is_known(nursery: Nursery, tmp_path: Path) -> None:
    failing = await started(nursery, module("services.billing", "nonsense"), tmp_path / "log")
    lasting = await started(nursery, module("http.server", "0"), tmp_path / "other.log")

    assert failing.wait(PATIENCE_SECONDS) == 2
    assert "usage: python -m services.billing" in (tmp_path / "log").read_text()
    with pytest.raises(subprocess.TimeoutExpired):
        lasting.wait(0.1)
    lasting.send_signal(signal.SIGKILL)
    assert lasting.wait(PATIENCE_SECONDS) == -signal.SIGKILL


@pytest.mark.parametrize("ending", ["closed", "killed"])
async def test_processes_start_without_it_as_programs(nursery: Nursery, tmp_path: Path, ending: str) -> None:
    if ending == "closed":
        nursery.close()
    else:
        nursery_process().kill()

    process = await started(nursery, module(*RENDER), tmp_path / "log")

    assert isinstance(process, subprocess.Popen)
    assert process.wait(PATIENCE_SECONDS) == 0


async def test_where_orphans_cannot_be_adopted_processes_start_as_programs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nurseries, "PR_SET_CHILD_SUBREAPER", -1)
    opened = Nursery()

    process = await started(opened, module(*RENDER), tmp_path / "log")

    assert isinstance(process, subprocess.Popen)
    assert process.wait(PATIENCE_SECONDS) == 0
    opened.close()


def test_it_ends_without_a_word_where_the_stack_has_ended_before_it_was_ready() -> None:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()

    with its:
        command = [*PYTHON, "services.devstack.nursery_process"]
        done = subprocess.run(command, stdin=its.fileno(), capture_output=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
