"""Every process runs from the wheel, outside the checkout: a whole stack, and each process of an image beside it."""

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from services.billing.__main__ import PROCESSES as BILLING
from services.devstack.environment import child_environment
from services.devstack.folder import StackFolder
from services.devstack.ports import choose_ports
from services.devstack.readiness import answers
from services.jobs.__main__ import PROCESSES as JOBS
from services.webhooks.__main__ import PROCESSES as WEBHOOKS
from tests.patience import PATIENCE_SECONDS
from tests.wheel.conftest import Install
from tests.wheel.installation import Installation

SERVICES = {"billing": set(BILLING), "jobs": set(JOBS), "webhooks": set(WEBHOOKS)}


@pytest.fixture(scope="module")
def stack(installed: Install) -> Iterator[dict[str, Any]]:
    """What `reelgate status` says of a stack that the wheel started; nothing of it is left afterwards."""
    wheel, folder = installed("stack"), tempfile.mkdtemp(prefix="reelgate-stack-")
    command = ("-m", "services.cli")
    up = wheel.run(*command, "up", "--detach", "--port=0", "--simulator-mode=instant", f"--data={folder}")
    assert up.returncode == 0, up.stderr
    try:
        yield {
            **json.loads(wheel.run(*command, "status", "--json", f"--data={folder}").stdout),
            "folder": folder,
        }
    finally:
        assert wheel.run(*command, "down", f"--data={folder}").returncode == 0


def test_a_stack_started_from_the_wheel_makes_a_video(stack: dict[str, Any], installed: Install) -> None:
    assert stack["ready"]

    made = installed("stack").run("-m", "services.cli", "generate", "a boat", f"--data={stack['folder']}")

    assert made.returncode == 0, made.stderr
    assert [path for path in Path(stack["folder"], "media").rglob("*.mp4") if path.stat().st_size]


@pytest.mark.parametrize("service", SERVICES)
async def test_each_process_of_a_service_serves_from_its_image(
    stack: dict[str, Any], installed: Install, service: str
) -> None:
    ports = free_ports()
    with ExitStack() as running:
        health = {}
        for process in SERVICES[service] - {"all"}:  # which is what the stack runs
            environment = with_ports_of_its_own(environment_of(stack, service), ports)
            words = ("-m", f"services.{service}", process)
            address = f"grpc://{environment[f'{service.upper()}_HEALTH_ADDRESS']}"
            health[address] = running.enter_context(
                started(installed("services"), *words, environment=environment)
            )
        await until_all_answer(health)


async def test_the_edge_serves_from_its_image(stack: dict[str, Any], installed: Install) -> None:
    environment = with_ports_of_its_own(environment_of(stack, "edge"), free_ports())
    address = environment["EDGE_LISTEN_ADDRESS"]

    with started(installed("edge"), "-m", "services.edge", "run", environment=environment) as edge:
        await until_all_answer({f"http://{address}/readyz": edge})


@pytest.mark.parametrize("image", ["services", "edge", "stack"])
def test_no_process_opens_a_file_of_the_checkout(
    stack: dict[str, Any], installed: Install, image: str
) -> None:
    assert stack["ready"]
    assert installed(image).opened_of_checkout == []


def test_opening_a_file_of_the_checkout_would_be_seen(installed: Install) -> None:
    seen = installed("base")

    seen.run("-c", f"open({__file__!r})")

    assert seen.opened_of_checkout == [__file__]


def environment_of(stack: dict[str, Any], service: str) -> dict[str, str]:
    """Returns the environment that the stack gave the process of a service, or its API."""
    # A process that is a fork shows the environment of what it was forked from.
    own = json.loads(StackFolder(Path(stack["folder"])).environments.read_text())
    [settings] = [own[name] for name in (service, f"{service}-api") if name in own]
    return child_environment(os.environ, settings)


def free_ports() -> Iterator[int]:
    """Returns ports that stay free until a process has started: enough for those of one service."""
    return iter(astuple(choose_ports(0)))


def with_ports_of_its_own(environment: dict[str, str], ports: Iterator[int]) -> dict[str, str]:
    """Returns the environment of a process that runs beside the one whose environment this is."""
    listening = [name for name, value in environment.items() if name.endswith("_ADDRESS") and ":" in value]
    return environment | {name: f"127.0.0.1:{next(ports)}" for name in listening}


@contextmanager
def started(
    installation: Installation, *words: str, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a process until the block ends. It must end by itself when it is told to."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [installation.python, *words], env=dict(environment), cwd="/", stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            status = process.wait(PATIENCE_SECONDS)
            log.seek(0)
            assert status == os.EX_OK, log.read().decode()


async def until_all_answer(processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Waits until the address of every process answers, as services.devstack.readiness says."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    waiting = set(processes)
    while waiting := {address for address in waiting if not await answers(address)}:
        assert all(process.poll() is None for process in processes.values()), "a process has ended"
        assert time.monotonic() < deadline, waiting
        await asyncio.sleep(0.1)
