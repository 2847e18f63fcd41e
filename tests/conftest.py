"""What tests share: one PostgreSQL cluster per session, and a fresh database of a service per test."""

import asyncio
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from services.common.event_loop import new_event_loop
from services.devstack import postgres
from tests.databases import Databases
from tests.patience import PATIENCE_SECONDS

# Servers in this process run as they do in services, which do not leave gRPC's fork handlers out.
os.environ.pop("GRPC_ENABLE_FORK_SUPPORT", None)

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
MakeDatabase = Callable[[str], str]
PASSWORD = "of-the-tests"
"""Of the superuser of the session's cluster."""
KEY_SECRET = "of-the-tests-and-nobody-elses-0123"
"""What API keys are signed with."""
STACKS = ("tests/e2e/edge", "tests/e2e/guides", "tests/e2e", "tests/faults", "tests/wheel")
"""Folders whose tests share a stack, or an edge, and so run in one process, in their order."""

NOT_DURABLE = ("-c", "fsync=off", "-c", "full_page_writes=off")
"""No test cuts the power of this cluster, and hundreds of databases are made and dropped in it."""

# The same examples every time, however slow the machine: a test passes or fails for what is in the repository.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")
PORTS_FIRST, PORTS_EACH = 12_000, 2_000
"""Below those of stacks, and of the system's own choosing; a range for each process that shares the work."""
_first_port = PORTS_FIRST + PORTS_EACH * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = itertools.cycle(range(_first_port, _first_port + PORTS_EACH))


class StacksTogether(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands whole files to the processes that share the work, and all files of one stack to the same."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in STACKS if file.startswith(folder)), file)


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, LoopFactory]:
    """Has tests, and the services that they run in this process, on the loop that services have."""
    return {"of services": new_event_loop}


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> StacksTogether:
    """Returns how tests are shared out."""
    return StacksTogether(config, log)


def cluster(port: int) -> postgres.Cluster:
    """Returns the cluster of this session, which listens on `port`."""
    return postgres.Cluster(port=port, password=PASSWORD)


def free_port() -> int:
    """Returns a loopback port that is free, and that neither an outgoing connection nor another stack will take."""
    while True:
        port = next(_ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


# Started first of all: as root it is forked, which is safe only while gRPC does not run in this process.
@pytest.fixture(scope="session", autouse=True)
def postgres_port() -> Iterator[int]:
    """A real PostgreSQL cluster of this session, as `reelgate up` runs it."""
    folder = Path(tempfile.mkdtemp(prefix="reelgate-test-"))
    try:
        with _running_cluster(folder / "postgres") as port:
            yield port
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running_cluster(folder: Path) -> Iterator[int]:
    # Whom PostgreSQL runs as may pass.
    folder.parent.chmod(0o711)
    postgres.prepare_folder(folder, password=PASSWORD)
    port = free_port()
    with running_server(folder, cluster(port)):
        yield port


@contextmanager
def running_server(folder: Path, served: postgres.Cluster) -> Iterator[None]:
    """Runs PostgreSQL on a prepared folder until the block ends."""
    with (folder.parent / "postgres.log").open("wb") as output:
        process = subprocess.Popen(
            [*postgres.command(folder, port=served.port), *NOT_DURABLE],
            **postgres.privileges_of(postgres.process_user()),
            cwd="/",
            stdout=output,
            stderr=output,
        )
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not postgres.is_ready(served.url()):
                assert process.poll() is None, (folder.parent / "postgres.log").read_text()
                assert time.monotonic() < deadline, "PostgreSQL did not start"
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(2)
            process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def databases(postgres_port: int) -> Databases:
    """What gives databases of this session's cluster."""
    return Databases(cluster(postgres_port))


@pytest.fixture(scope="session")
def migrated_templates(databases: Databases) -> Callable[[str], str]:
    """Returns the name of a migrated, empty database of a service, made once."""
    return databases.template


@pytest.fixture
def make_database(databases: Databases, postgres_port: int) -> Iterator[MakeDatabase]:
    """Returns a function that gives the address of a fresh, migrated database of a service."""
    with ExitStack() as stack:
        yield lambda service: cluster(postgres_port).url(stack.enter_context(databases.taken(service)))


@pytest.fixture
def copy_database(databases: Databases, postgres_port: int) -> Iterator[Callable[[str], str]]:
    """Returns a function that takes and gives addresses: of a database that nobody uses at the moment, and of a copy."""
    with ExitStack() as stack:

        def copy(url: str) -> str:
            name = url.rpartition("/")[2].partition("?")[0]
            return cluster(postgres_port).url(stack.enter_context(databases.copied(name)))

        yield copy
