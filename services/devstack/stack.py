"""The life of a local stack: start what can start together, keep it running, stop it in order."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from services.common.clock import utc_now
from services.common.loop import running
from services.common.postgres.schema import find_gap
from services.devstack import demo, postgres
from services.devstack.certificates import ensure_certificates
from services.devstack.errors import StackError
from services.devstack.folder import StackFolder, write_secret
from services.devstack.identity import identity_of
from services.devstack.lock import stack_lock
from services.devstack.log_files import open_log, tail
from services.devstack.nursery import Nursery
from services.devstack.ports import choose_ports
from services.devstack.processes import (
    DATABASES,
    ROLES,
    StackSettings,
    cluster,
    database_addresses,
    grpc_addresses,
    metrics_addresses,
    process_specs,
)
from services.devstack.state import StackState, clear_leftovers, remove_state, write_state
from services.devstack.supervision import Supervised, until_ready

log = logging.getLogger("reelgate.stack")

START_SECONDS_MAX = 90.0
FAILURE_CHECK_SECONDS = 1.0
RENEWAL_CHECK_SECONDS = 10.0
STOP_ORDER = (
    ("edge", "mcp"),
    ("jobs-api", "jobs-worker", "webhooks", "billing"),
    ("simulator",),
    ("postgres",),
)


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """The options of `reelgate up`."""

    folder: StackFolder
    port: int
    simulator_mode: str
    simulator_latency_seconds: float
    otlp_endpoint: str
    log_format: str
    program: Sequence[str]
    """How the `reelgate` command is started."""
    open_demo_account: Callable[[StackState], Awaitable[demo.DemoAccount]]
    """Awaited once all services answer, unless an earlier start opened the account."""
    attend: Callable[[StackState], Coroutine[Any, Any, None]]
    """Runs from then on until the stack stops."""


def run_stack(options: UpOptions, *, announce: Callable[[StackState], None]) -> None:
    """Runs a stack until SIGINT, SIGTERM or SIGHUP; `announce` is called once it is ready.

    Stops first what a killed supervisor left running on the same folder.
    Raises StackError if another stack runs, a port is taken or a process does not start; then nothing is left running.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    root = options.folder.root
    root.mkdir(parents=True, exist_ok=True)
    with stack_lock(root):
        clear_leftovers(root)
        asyncio.run(_Stack(options).run(announce))


class _Stack:
    def __init__(self, options: UpOptions) -> None:
        self._nursery = Nursery()
        ports = choose_ports(options.port)
        self._phases: dict[str, float] = {}
        self._started = False
        self._renew_at = time.monotonic() + RENEWAL_CHECK_SECONDS
        self._options = options
        self._folder = options.folder
        with self._phase("folder"):
            self._folder.prepare(roles=ROLES)
            ensure_certificates(self._folder.tls, now=utc_now())
        self._settings = StackSettings(
            folder=self._folder,
            ports=ports,
            simulator_api_key=self._folder.simulator_api_key.read_text(),
            simulator_mode=options.simulator_mode,
            simulator_latency_seconds=options.simulator_latency_seconds,
            otlp_endpoint=options.otlp_endpoint,
            log_format=options.log_format,
        )
        specs = process_specs(self._settings)
        settings = {name: dict(spec.environment) for name, spec in specs.items()}
        write_secret(self._folder.environments, json.dumps(settings))
        self._supervisor = identity_of(os.getpid())
        self._processes = {
            name: Supervised(
                spec,
                log_path=self._folder.logs / f"{name}.log",
                changed=self._write_state,
                start=self._nursery.start,
            )
            for name, spec in specs.items()
        }

    def _prepare_postgres(self) -> None:
        try:
            password = self._folder.read_password(postgres.SUPERUSER)
            postgres.prepare_folder(self._folder.postgres, password=password, databases=DATABASES)
        except subprocess.CalledProcessError as error:
            raise StackError(f"PostgreSQL cannot be set up: {error.stderr.decode().strip()}") from error

    async def run(self, announce: Callable[[StackState], None]) -> None:
        signalled = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, signalled.set)
        living = asyncio.create_task(self._live(announce))
        stopping = asyncio.create_task(signalled.wait())
        try:
            await asyncio.wait((living, stopping), return_when=asyncio.FIRST_COMPLETED)
            if living.done():
                living.result()
        finally:
            for task in (living, stopping):
                task.cancel()
            await asyncio.wait((living, stopping))
            await self._stop()

    async def _live(self, announce: Callable[[StackState], None]) -> None:
        await self._start()
        self._started = True
        self._write_state()
        announce(self._state())
        async with running(self._options.attend(self._state())):
            while True:
                for process in self._processes.values():
                    process.raise_failure()
                if time.monotonic() > self._renew_at:
                    await self._renew_certificates()
                await asyncio.sleep(FAILURE_CHECK_SECONDS)

    async def _renew_certificates(self) -> None:
        self._renew_at = time.monotonic() + RENEWAL_CHECK_SECONDS
        try:
            await asyncio.to_thread(ensure_certificates, self._folder.tls, now=utc_now())
        except OSError:
            log.exception("cannot renew certificates")

    async def _start(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        # They load meanwhile, and wait for their tables by themselves.
        for name, process in self._processes.items():
            if name != "postgres":
                process.start()
        with self._phase("postgres"):
            await asyncio.to_thread(self._prepare_postgres)
            self._processes["postgres"].start()
            await until_ready([self._processes["postgres"]], deadline=deadline)
        with self._phase("migrations"):
            await self._migrate(deadline)
        with self._phase("services"):
            await until_ready(list(self._processes.values()), deadline=deadline)
        self._nursery.close()
        with self._phase("demo account"):
            await self._ensure_demo_account()

    async def _ensure_demo_account(self) -> None:
        if demo.read_demo_account(self._folder.demo_account) is None:
            account = await self._options.open_demo_account(self._state())
            demo.write_demo_account(self._folder.demo_account, account)

    async def _migrate(self, deadline: float) -> None:
        owner, urls = cluster(self._folder, self._settings.ports.postgres), database_addresses(self._settings)
        for name in DATABASES:
            await asyncio.to_thread(owner.ensure_service, name, password=self._folder.read_password(name))
        gaps = await asyncio.gather(*(find_gap(urls[name], service=name) for name in DATABASES))
        behind = [name for name, gap in zip(DATABASES, gaps, strict=True) if gap is not None]
        if behind:
            addresses = {f"{name.upper()}_DATABASE_URL": urls[name] for name in behind}
            addresses |= {f"{name.upper()}_MIGRATION_DATABASE_URL": owner.url(name) for name in behind}
            await asyncio.to_thread(self._run_migrations, addresses, deadline - time.monotonic())

    def _run_migrations(self, addresses: Mapping[str, str], timeout_seconds: float) -> None:
        log_path = self._folder.logs / "migrations.log"
        with open_log(log_path) as output:
            done = subprocess.run(
                [*self._options.program, "migrate"],
                env={**os.environ, **addresses}, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=timeout_seconds, check=False,
            )  # fmt: skip
        if done.returncode != 0:
            raise StackError(f"Migrations failed. Their log ends:\n{tail(log_path)}")

    async def _stop(self) -> None:
        for names in STOP_ORDER:
            await asyncio.gather(*(self._processes[name].stop() for name in names))
        self._nursery.close()
        remove_state(self._folder.root)

    def _state(self) -> StackState:
        known = [process.state() for process in self._processes.values()]
        return StackState(
            supervisor=self._supervisor,
            ready=self._started and all(process.ready for process in self._processes.values()),
            edge=self._settings.edge,
            grpc=grpc_addresses(self._settings.ports),
            database=database_addresses(self._settings),
            processes=[state for state in known if state is not None],
            phases=self._phases,
            metrics=metrics_addresses(self._settings.ports),
        )

    def _write_state(self) -> None:
        try:
            write_state(self._folder.root, self._state())
        except OSError:
            log.exception("cannot write the state of the stack")

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._phases[name] = round(time.monotonic() - started, 2)
