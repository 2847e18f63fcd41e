"""All Deployments as processes behind names that move, with customers of both contracts who note every failure."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from unittest.mock import patch

import aiohttp
from cryptography import x509
from yarl import URL  # noqa: TID251  a customer makes addresses of its own

from services.cli.admin.accounts import create_account
from services.cli.admin.target import AdminTarget
from services.common.postgres.migrate import migrate
from services.devstack import certificates
from services.edge.drain import drain
from services.edge.extension import Config, named
from tests.conftest import free_port
from tests.drills.waiters import Waiters
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.e2e.receiver import Receiver
from tests.integration.billing.books import broken_rules
from tests.integration.common.name_server import NameServer, open_name_server
from tests.patience import PATIENCE_SECONDS
from tests.upgrade import drill as upgrade
from tests.upgrade.customers import CONTRACTS, Customers, Record
from tests.upgrade.fleet import Site, run, until_answering
from tests.upgrade.previous import ROOT

NOTICE_SECONDS = {"billing api": 8.0, "webhooks api": 8.0, "jobs api": 8.0}
"""Longer than the edge takes to ask twice for the health of a process. Nobody balances over the others."""
DEPLOYMENTS = ("billing api", "webhooks api", "webhooks dispatcher", "jobs api", "jobs worker")
NAMED = {"billing": "billing api", "webhooks": "webhooks api", "jobs": "jobs api"}
"""Which Deployment a name leads to."""


@dataclass(frozen=True)
class Replica:
    """One process of a Deployment."""

    host: str
    admin: str
    process: asyncio.subprocess.Process


@dataclass
class Cluster:
    """What restarts Deployments as Kubernetes does: a new process serves, and then the old one is told to stop."""

    site: Site
    names: dict[str, list[str]]
    """The addresses of each name, as the name server tells them."""
    server: NameServer
    stack: AsyncExitStack
    """Ends what was started."""
    customers: Customers | None = None
    replicas: dict[str, Replica] = field(default_factory=dict)
    _ports: dict[str, int] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _edge: tuple[RunningEdge, AsyncExitStack] | None = None

    async def start(self, deployment: str) -> Replica:
        """Starts a process at an address of its own, and returns it when it serves."""
        host = f"127.0.1.{next(self._numbers)}"
        service, role = deployment.split()
        health, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
        settings = {
            **self.site.common,
            **self.site.own[service],
            "DATABASE_URL": self.site.databases[service],
            "TLS_FOLDER": str(self.site.folder / "tls" / service),
            "PUBLIC_ADDRESS": f"{host}:{self._port(service, 'public')}",
            "ADMIN_ADDRESS": admin,
            "HEALTH_ADDRESS": health,
            "METRICS_ADDRESS": "127.0.0.1:0",
            "NOTICE_SECONDS": str(NOTICE_SECONDS.get(deployment, 0.0)),
        }
        if service != "jobs":
            settings["INTERNAL_ADDRESS"] = f"{host}:{self._port(service, 'internal')}"
        if service != "billing":
            settings["BILLING_TARGET"] = self._target("billing")
        if service == "jobs":
            settings["WEBHOOKS_TARGET"] = self._target("webhooks")
        log = self.site.folder / f"{service}-{role}-{host}.log"
        process = await run(
            ROOT,
            f"services.{service}",
            role,
            settings={f"{service.upper()}_{name}": value for name, value in settings.items()},
            log=log,
        )
        self.stack.push_async_callback(_end, process)
        await until_answering(process, f"grpc://{health}", log)
        return Replica(host, admin, process)

    async def replace(self, *deployments: str) -> None:
        """Restarts Deployments side by side."""
        new = dict(zip(deployments, await asyncio.gather(*map(self.start, deployments)), strict=True))
        for name, deployment in NAMED.items():
            if deployment in new:
                self.names[name].append(new[deployment].host)
        await self._known_to_edge({replica.host for each, replica in new.items() if each in NAMED.values()})
        old, self.replicas = {each: self.replicas.get(each) for each in deployments}, self.replicas | new
        await asyncio.gather(*(self._stop(each, replica) for each, replica in old.items() if replica))

    async def replace_edge(self) -> None:
        """Starts an edge, sends customers there, and stops the one before when it is drained."""
        old, stack = self._edge, AsyncExitStack()
        edge = await stack.enter_async_context(
            running_edge(
                change=self._own_name_server,
                access_log=False,
                connections_per_address=0,
                **{f"{name}_targets": f"{name}.test:{self._port(name, 'public')}" for name in NAMED},
            )
        )
        self._edge = edge, stack
        if self.customers is not None:
            self.customers._edge = edge.url
        if old is not None:
            assert await drain(old[0].settings) == 0
            await old[1].aclose()

    @property
    def edge(self) -> str:
        """Where customers send their requests now."""
        assert self._edge is not None
        return self._edge[0].url

    async def kill(self, deployment: str) -> None:
        """Kills one of two processes, as the machine it runs on would: its address is told for a while."""
        second = await self.start(deployment)
        for name, named_ in NAMED.items():
            if named_ == deployment:
                self.names[name].append(second.host)
        await self._known_to_edge({second.host})
        first, self.replicas[deployment] = self.replicas[deployment], second
        first.process.kill()
        await first.process.wait()

    async def close(self) -> None:
        """Ends the edge."""
        if self._edge is not None:
            await self._edge[1].aclose()

    async def _stop(self, deployment: str, replica: Replica) -> None:
        for name, named_ in NAMED.items():
            if named_ == deployment:
                self.names[name].remove(replica.host)
        replica.process.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await replica.process.wait() == 0, deployment

    async def _known_to_edge(self, wanted: set[str]) -> None:
        if self._edge is None:
            return
        admin = self._edge[0].settings.admin_address
        async with asyncio.timeout(PATIENCE_SECONDS), aiohttp.ClientSession() as session:
            while wanted - await _healthy(session, admin):  # noqa: ASYNC110  Envoy rings no bell
                await asyncio.sleep(0.1)

    def _own_name_server(self, config: Config) -> None:
        host, port = self.server.address.split(":")
        resolver = named(
            "envoy.network.dns_resolver.cares",
            "extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            resolvers=[{"socket_address": {"address": host, "port_value": int(port)}}],
            dns_resolver_options={"no_default_search_domain": True},
        )
        for cluster in config["static_resources"]["clusters"]:
            cluster["cluster_type"]["typed_config"]["typed_dns_resolver_config"] = resolver

    def _port(self, service: str, port: str) -> int:
        return self._ports.setdefault(f"{service} {port}", free_port())

    def _target(self, service: str) -> str:
        return f"dns://{self.server.address}/{service}.test:{self._port(service, 'internal')}"


async def _healthy(session: aiohttp.ClientSession, admin: str) -> set[str]:
    async with session.get(URL(f"http://{admin}/clusters?format=json")) as answer:
        clusters = json.loads(await answer.text())["cluster_statuses"]
    return {
        host["address"]["socket_address"]["address"]
        for cluster in clusters
        for host in cluster.get("host_statuses", ())
        if host["health_status"].get("eds_health_status") == "HEALTHY"
        and not {"failed_active_health_check", "pending_active_hc"} & host["health_status"].keys()
    }


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


@dataclass
class Outcome:
    """What customers saw, and what is left of it."""

    record: Record = field(default_factory=Record)
    waiters: Waiters = field(init=False)
    untold: list[str] = field(default_factory=list)
    broken_rules: dict[str, list[object]] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """Returns what nobody may feel of a restart, a line each."""
        completed = {"completed", "succeeded"}
        return [
            *self.record.failures,
            *self.waiters.failures,
            *(f"{job} is lost" for job in self.record.hooks if self.record.ended.get(job) not in completed),
            *(f"{job}: no webhook told its end" for job in self.untold),
            *(f"the ledger breaks {rule}: {rows}" for rule, rows in self.broken_rules.items()),
        ]


@asynccontextmanager
async def busy_cluster(*, customers_each: int) -> AsyncIterator[tuple[Cluster, Outcome]]:
    """Runs every Deployment, and customers until the block ends. The outcome is complete afterwards."""
    outcome = Outcome()
    async with AsyncExitStack() as stack:
        cluster = await _running_cluster(stack)
        receiver = await stack.enter_async_context(Receiver().listening())
        keys = {contract: await _new_key(contract, cluster) for contract in CONTRACTS}
        customers = cluster.customers = Customers(cluster.edge, keys, receiver, outcome.record)
        outcome.waiters = Waiters(cluster, keys)
        async with customers.busy(customers_each=customers_each):
            yield cluster, outcome
        for job_id, hook in outcome.record.hooks.items():
            try:
                await receiver.first(hook, seconds=PATIENCE_SECONDS)
            except AssertionError:
                outcome.untold.append(job_id)
        outcome.broken_rules = broken_rules(cluster.site.owners["billing"])


async def _running_cluster(stack: AsyncExitStack) -> Cluster:
    folder = upgrade._open_folder(stack)
    postgres = upgrade._open_cluster(folder, stack)
    simulator = await upgrade._open_simulator(folder, stack)
    names = (*certificates.NAMES, *(x509.DNSName(f"{name}.test") for name in NAMED))
    with patch.object(certificates, "NAMES", names):
        site = upgrade._site(folder, postgres, simulator)
    for service, url in site.owners.items():
        await asyncio.to_thread(migrate, url, service=service, runtime_role=service)
    hosts: dict[str, list[str]] = {name: [] for name in NAMED}
    server, _ = await stack.enter_async_context(
        open_name_server({f"{name}.test": [each] for name, each in hosts.items()}, otherwise=())
    )
    cluster = Cluster(site, hosts, server, stack)
    stack.push_async_callback(cluster.close)
    # Each after those that it calls: it asks for them when it starts.
    for side_by_side in (DEPLOYMENTS[:1], DEPLOYMENTS[1:3], DEPLOYMENTS[3:]):
        await cluster.replace(*side_by_side)
    await cluster.replace_edge()
    await cluster._known_to_edge({host for hosts in cluster.names.values() for host in hosts})
    return cluster


async def _new_key(contract: str, cluster: Cluster) -> str:
    operator = cluster.site.folder / "tls" / "operator"
    billing, webhooks = (
        AdminTarget(address=cluster.replicas[each].admin, tls=operator)
        for each in ("billing api", "webhooks api")
    )
    account = await create_account(
        contract,
        contract=contract,
        credits_micros=upgrade.CREDITS_MICROS,
        calls_per_minute=upgrade.CALLS_PER_MINUTE,
        note=upgrade.NOTE,
        billing=billing,
        webhooks=webhooks,
    )
    return account.keys["live"]
