"""The upgrade from the release before to this version, and back, while customers go on."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet
from reelgate.admin.v1.audit_pb2 import AuditNote

from services.cli.admin.accounts import create_account
from services.cli.admin.target import AdminTarget
from services.common.clock import utc_now
from services.devstack import postgres
from services.devstack.certificates import ensure_certificates
from tests.conftest import KEY_SECRET, PASSWORD, free_port, running_server
from tests.e2e.receiver import Receiver
from tests.integration.billing.books import broken_rules
from tests.patience import PATIENCE_SECONDS
from tests.upgrade.balancer import Balancer
from tests.upgrade.customers import CONTRACTS, Customers, Record
from tests.upgrade.fleet import Fleet, Site, end, run, until_answering
from tests.upgrade.locks import log_waits, waits_ms
from tests.upgrade.previous import ROOT, SERVICES, export

API_KEY = "of-the-simulator"
CREDITS_MICROS = 10**12
CALLS_PER_MINUTE = 100_000
NOTE = AuditNote(actor="upgrade", reason="drill")
INTERNAL = {"billing": "billing api", "webhooks": "webhooks all"}
"""Which process serves the internal port of a service."""
Say = Callable[[str], None]


@dataclass
class Outcome:
    """What came of a drill."""

    record: Record
    migration_waits_ms: list[float] = field(default_factory=list)
    """How long statements waited for a table while the databases were migrated."""
    broken_rules: dict[str, list[object]] = field(default_factory=dict)
    """Of the ledger, at the end."""
    untold: list[str] = field(default_factory=list)
    """Jobs whose end no webhook told."""

    def problems(self) -> list[str]:
        """Returns what customers and the ledger must not see, a line each."""
        return [
            *self.record.failures,
            *(
                f"{job_id} ended as {status}"
                for job_id, status in self.record.ended.items()
                if status == "failed"
            ),
            *(f"{job_id}: no webhook told its end" for job_id in self.untold),
            *(f"the ledger breaks {rule}: {rows}" for rule, rows in self.broken_rules.items()),
        ]


@dataclass
class Drill:
    """Both releases on one set of databases, behind one edge of the release before."""

    old: Fleet
    new: Fleet
    balancers: dict[str, Balancer]
    customers: Customers
    receiver: Receiver
    outcome: Outcome
    postgres_log: Path
    requests_each: int
    say: Say

    async def upgrade(self) -> None:
        """Migrates, starts the new processes beside the old ones, and stops the old ones."""
        await self._phase("the old release alone")
        since = self.postgres_log.stat().st_size
        self._begin("the migration beside the old release")
        await self.new.migrate()
        self.outcome.migration_waits_ms = waits_ms(self.postgres_log, since=since)
        await self._phase("the old release on the new schema")
        self._begin("the start of the new release")
        # Its first calls go to old neighbours.
        await self.new.start()
        await self._phase("both releases")
        await self._replace(self.old, self.new)
        await self._phase("the new release alone")

    async def roll_back(self) -> None:
        """Starts the old processes again, on the new schema, and stops the new ones."""
        self._begin("the start of the old release on the new schema")
        await self.old.start()
        await self._phase("both releases again")
        await self._replace(self.new, self.old)
        await self._phase("the old release after the rollback")

    async def _replace(self, leaving: Fleet, staying: Fleet) -> None:
        """Lets the neighbours of both go over before the processes that customers reach."""
        self._begin(f"the stop of {leaving.name} billing and webhooks")
        for service, process in INTERNAL.items():
            self.balancers[service].backends.append(staying.address(process, "internal"))
        await leaving.stop(*INTERNAL)
        self._begin(f"the stop of {leaving.name} jobs")
        await leaving.stop("jobs")

    async def _phase(self, name: str) -> None:
        self._begin(name)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.outcome.record.requests[name] < self.requests_each:  # noqa: ASYNC110  nobody rings
                await asyncio.sleep(0.05)

    def _begin(self, name: str) -> None:
        self.say(
            f"{len(self.outcome.record.ended)} jobs, {len(self.outcome.record.failures)} failures; now {name}"
        )
        self.outcome.record.phase = name


async def run_drill(
    revision: str, *, customers_each: int, requests_each: int, rolls_back: bool, say: Say = print
) -> Outcome:
    """Runs the upgrade from a revision of the repository, and back. Whatever was started has ended afterwards."""
    async with _prepared(revision, requests_each=requests_each, say=say) as drill:
        async with drill.customers.busy(customers_each=customers_each):
            await drill.upgrade()
            if rolls_back:
                await drill.roll_back()
            drill.outcome.record.phase = "the end"
        await _until_told(drill)
        drill.outcome.broken_rules = broken_rules(drill.old.site.owners["billing"])
        return drill.outcome


async def _until_told(drill: Drill) -> None:
    outcome = drill.outcome
    for job_id, hook in outcome.record.hooks.items():
        try:
            await drill.receiver.first(hook, seconds=PATIENCE_SECONDS)
        except AssertionError:
            outcome.untold.append(job_id)


@asynccontextmanager
async def _prepared(revision: str, *, requests_each: int, say: Say) -> AsyncIterator[Drill]:
    async with AsyncExitStack() as stack:
        folder = _open_folder(stack)
        export(revision, folder / "previous")
        cluster = _open_cluster(folder, stack)
        log_waits(cluster.url())
        simulator = await _open_simulator(folder, stack)
        site = _site(folder, cluster, simulator)
        balancers = {each: await stack.enter_async_context(Balancer().listening()) for each in INTERNAL}
        old, new = (
            Fleet(name, source, site, balancers)
            for name, source in (("old", folder / "previous"), ("new", ROOT))
        )
        for fleet in (old, new):
            stack.push_async_callback(fleet.kill)
        for service, process in INTERNAL.items():
            balancers[service].backends.append(old.address(process, "internal"))
        await old.migrate()
        await old.start()
        edge = await _open_edge(folder, old, new, stack)
        receiver = await stack.enter_async_context(Receiver().listening())
        keys = {contract: await _new_key(contract, old) for contract in CONTRACTS}
        record = Record()
        yield Drill(
            old=old,
            new=new,
            balancers=balancers,
            customers=Customers(edge, keys, receiver, record),
            receiver=receiver,
            outcome=Outcome(record),
            postgres_log=folder / "postgres.log",
            requests_each=requests_each,
            say=say,
        )


def _open_folder(stack: AsyncExitStack) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="reelgate-upgrade-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o711)  # as root, PostgreSQL runs as another user who must get in
    return folder


def _open_cluster(folder: Path, stack: AsyncExitStack) -> postgres.Cluster:
    cluster = postgres.Cluster(port=free_port(), password=PASSWORD)
    postgres.prepare_folder(folder / "postgres", password=PASSWORD)
    stack.enter_context(running_server(folder / "postgres", cluster))
    for service in SERVICES:
        cluster.ensure_service(service, password=PASSWORD)
    return cluster


def _site(folder: Path, cluster: postgres.Cluster, simulator: str) -> Site:
    (folder / "media").mkdir()
    ensure_certificates(folder / "tls", now=utc_now())
    local = {"PRIVATE_TARGETS_ALLOWED": "127.0.0.0/8"}
    return Site(
        folder=folder,
        databases={
            service: postgres.role_url(cluster.port, service, role=service, password=PASSWORD)
            for service in SERVICES
        },
        owners={service: cluster.url(service) for service in SERVICES},
        common={"KEY_CHECKSUM_SECRETS": KEY_SECRET},
        own={
            "billing": {},
            "webhooks": {**local, "SECRET_KEY": Fernet.generate_key().decode()},
            "jobs": {
                **local,
                "MEDIA_STORE_URL": str(folder / "media"),
                "MEDIA_BASE_URL": "https://media.example",
                "LIVE_PROVIDER": "simulator",
                "SIMULATOR_BASE_URL": f"{simulator}/api/v3",
                "SIMULATOR_API_KEY": API_KEY,
            },
        },
    )


async def _open_simulator(folder: Path, stack: AsyncExitStack) -> str:
    port, log = free_port(), folder / "simulator.log"
    process = await run(
        ROOT,
        "services.simulator",
        settings={
            "SIMULATOR_PORT": str(port),
            "SIMULATOR_API_KEY": API_KEY,
            "SIMULATOR_FOLDER": str(folder / "simulator"),
            "SIMULATOR_MODE": "instant",
        },
        log=log,
    )
    stack.push_async_callback(end, process)
    await until_answering(process, f"tcp://127.0.0.1:{port}", log)
    return f"http://127.0.0.1:{port}"


async def _open_edge(folder: Path, old: Fleet, new: Fleet, stack: AsyncExitStack) -> str:
    """Runs the edge of the release before, in front of both: it is replaced last."""
    listen, log = f"127.0.0.1:{free_port()}", folder / "edge.log"
    targets = {"JOBS": "jobs api", "BILLING": "billing api", "WEBHOOKS": "webhooks all"}
    process = await run(
        old.source,
        "services.edge",
        "run",
        str(folder / "envoy.yaml"),
        settings={
            "EDGE_LISTEN_ADDRESS": listen,
            "EDGE_ADMIN_ADDRESS": f"127.0.0.1:{free_port()}",
            "EDGE_CONNECTIONS_PER_ADDRESS": "0",
            "EDGE_ACCESS_LOG": "false",
            **{
                f"EDGE_{name}_TARGETS": f"{old.address(process, 'public')},{new.address(process, 'public')}"
                for name, process in targets.items()
            },
        },
        log=log,
    )
    stack.push_async_callback(end, process)
    await until_answering(process, f"http://{listen}/readyz", log)
    return f"http://{listen}"


async def _new_key(contract: str, fleet: Fleet) -> str:
    operator = fleet.site.folder / "tls" / "operator"
    billing, webhooks = (
        AdminTarget(address=fleet.address(process, "admin"), tls=operator)
        for process in ("billing api", "webhooks all")
    )
    account = await create_account(
        contract,
        contract=contract,
        credits_micros=CREDITS_MICROS,
        calls_per_minute=CALLS_PER_MINUTE,
        note=NOTE,
        billing=billing,
        webhooks=webhooks,
    )
    return account.keys["live"]
