"""The services of a local stack on PostgreSQL nodes of a drill's own, which nobody keeps running."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from services.common.clock import utc_now
from services.common.postgres.migrate import migrate
from services.devstack import postgres
from services.devstack.certificates import ensure_certificates
from services.devstack.environment import child_environment
from services.devstack.folder import StackFolder
from services.devstack.identity import identity_of
from services.devstack.ports import choose_ports
from services.devstack.processes import (
    DATABASES,
    ROLES,
    ProcessSpec,
    StackSettings,
    grpc_addresses,
    process_specs,
)
from services.devstack.readiness import answers
from services.devstack.state import ProcessState, StackState, write_state
from tests.conftest import PASSWORD
from tests.drills.nodes import Node, several
from tests.e2e.local_stack import Stack
from tests.patience import PATIENCE_SECONDS

TASK_SECONDS = 0.5
START_ORDER = ("simulator", "edge", "billing", "webhooks", "jobs-api", "jobs-worker")
POLL_SECONDS = 0.1


@contextmanager
def stack_folder() -> Iterator[StackFolder]:
    """Yields the folder of a stack with its secrets and certificates, and removes it afterwards."""
    root = Path(tempfile.mkdtemp(prefix="reelgate-drill-"))
    try:
        folder = StackFolder(root)
        folder.prepare(roles=ROLES)
        ensure_certificates(folder.tls, now=utc_now())
        yield folder
    finally:
        shutil.rmtree(root, ignore_errors=True)


def make_databases(folder: StackFolder, nodes: Sequence[Node]) -> None:
    """Creates the three databases on the first of some nodes, which is their primary, with their tables and roles."""
    cluster = postgres.Cluster(port=nodes[0].port, password=PASSWORD)
    for name in DATABASES:
        cluster.ensure_service(name, password=folder.read_password(name))
        owner = several(nodes, name, role=postgres.SUPERUSER, password=PASSWORD)
        migrate(owner, service=name, runtime_role=name)


@contextmanager
def running_services(folder: StackFolder, nodes: Sequence[Node]) -> Iterator[Stack]:
    """Runs every process of a stack but PostgreSQL. Each knows all nodes, and none which is the primary."""
    ports = choose_ports(0)
    settings = StackSettings(
        folder=folder,
        ports=ports,
        simulator_api_key=folder.simulator_api_key.read_text(),
        simulator_mode="instant",
        simulator_latency_seconds=TASK_SECONDS,
    )
    addresses = {
        name: several(nodes, name, role=name, password=folder.read_password(name)) for name in DATABASES
    }
    specs = _on_nodes(process_specs(settings), addresses)
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for spec in specs:
            started[spec.name] = _start(spec, folder)
        _await_all(specs, started, folder)
        state = StackState(
            supervisor=identity_of(os.getpid()),
            ready=True,
            edge=settings.edge,
            grpc=grpc_addresses(ports),
            database={name: f"{url}?target_session_attrs=read-write" for name, url in addresses.items()},
            processes=[_state(spec, started[spec.name].pid) for spec in specs],
            phases={},
        )
        write_state(folder.root, state)
        yield Stack(edge=settings.edge, folder=folder.root, announcement="")
    finally:
        for process in started.values():
            process.send_signal(signal.SIGTERM)
        for process in started.values():
            process.wait(PATIENCE_SECONDS)


def _on_nodes(specs: Mapping[str, ProcessSpec], addresses: Mapping[str, str]) -> list[ProcessSpec]:
    moved = {f"{name.upper()}_DATABASE_URL": url for name, url in addresses.items()}
    return [
        replace(
            specs[name],
            environment={
                variable: moved.get(variable, value) for variable, value in specs[name].environment.items()
            },
        )
        for name in START_ORDER
    ]


def _start(spec: ProcessSpec, folder: StackFolder) -> subprocess.Popen[bytes]:
    with (folder.logs / f"{spec.name}.log").open("ab") as output:
        return subprocess.Popen(
            spec.argv,
            env=child_environment(os.environ, spec.environment),
            cwd="/",
            stdout=output,
            stderr=output,
        )


def _await_all(
    specs: Sequence[ProcessSpec], started: Mapping[str, subprocess.Popen[bytes]], folder: StackFolder
) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    for spec in specs:
        for address in spec.ready_at:
            while not _answers(address):
                log = folder.logs / f"{spec.name}.log"
                assert started[spec.name].poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(POLL_SECONDS)


def _answers(address: str) -> bool:
    # Whoever starts services may run a loop in this thread.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, answers(address)).result()


def _state(spec: ProcessSpec, pid: int) -> ProcessState:
    identity = identity_of(pid)
    return ProcessState(
        name=spec.name, pid=pid, started=identity.started, port=spec.port, restarts=0, ready=True
    )
