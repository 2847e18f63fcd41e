"""What certificates between services cost a create: the same processes with them and without, turn by turn."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median

import psutil

from services.devstack.folder import StackFolder
from services.devstack.readiness import answers
from tests.bench.load import Measured, load, request
from tests.bench.processes import open_edge, process_at, start, start_api
from tests.bench.report import Row
from tests.bench.rig import CREATE_BODY
from tests.conftest import free_port
from tests.e2e.local_stack import Account, Stack

CONNECTIONS = 16
ROUNDS = 10
SECONDS = 1.5
START_SECONDS = 30.0
Protection = Mapping[str, str]
"""Settings of a service, without their prefix."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A billing and a jobs api process behind an edge."""

    edge: str
    processes: Sequence[psutil.Process]

    async def create(self, message: bytes) -> tuple[Measured, float]:
        """Creates for a while. Returns what happened, and the seconds of processor that both took for each."""
        before = self._processor_seconds()
        measured = await load(self.edge, lambda: message, connections=CONNECTIONS, seconds=SECONDS)
        return measured, (self._processor_seconds() - before) / len(measured.latencies)

    def _processor_seconds(self) -> float:
        times = [process.cpu_times() for process in self.processes]
        return sum(each.user + each.system for each in times)


async def measure_mutual_tls(stack: Stack, account: Account) -> list[Row]:
    """Measures two sets of processes of its own, in turn: who goes first changes with each round."""
    create = request("POST", "bench", "/v1/videos/generations", key=account.keys["live"], body=CREATE_BODY)
    certificates = str(StackFolder(stack.folder).tls / "{service}")
    async with AsyncExitStack() as opened:
        ways = {
            "with": await _way(opened, stack, "with", {"TLS_FOLDER": certificates}),
            "without": await _way(opened, stack, "without", {"PLAINTEXT_INTERNAL": "true"}),
        }
        rounds = [
            {name: await ways[name].create(create) for name in sorted(ways, reverse=number % 2 == 1)}
            for number in range(ROUNDS)
        ]
    return _rows(rounds)


def _rows(rounds: Sequence[Mapping[str, tuple[Measured, float]]]) -> list[Row]:
    failed = sum(
        count
        for each in rounds
        for measured, _ in each.values()
        for status, count in measured.statuses.items()
        if status != 200
    )
    processor = median(each["with"][1] / each["without"][1] for each in rounds)
    rate = median(each["with"][0].per_second / each["without"][0].per_second for each in rounds)
    return [
        Row(
            name="processor time of a create, with / without certificates",
            measured=processor,
            goal=1.1,
            better="lower",
        ),
        Row(name="create rate, with / without certificates", measured=rate, goal=0.9, better="higher"),
        Row(name="create errors, with and without certificates", measured=failed, goal=0, better="lower"),
    ]


async def _way(opened: AsyncExitStack, stack: Stack, name: str, protection: Protection) -> Way:
    internal, health = (f"127.0.0.1:{free_port()}" for _ in range(2))
    billing = {
        "BILLING_DATABASE_URL": stack.status()["database"]["billing"],
        "BILLING_KEY_CHECKSUM_SECRETS_FILE": str(StackFolder(stack.folder).key_checksum_secrets),
        "BILLING_PUBLIC_ADDRESS": "127.0.0.1:0",
        "BILLING_INTERNAL_ADDRESS": internal,
        "BILLING_ADMIN_ADDRESS": "127.0.0.1:0",
        "BILLING_HEALTH_ADDRESS": health,
        "BILLING_METRICS_ADDRESS": "127.0.0.1:0",
        **_of("billing", protection),
    }
    await start(opened, "services.billing", "api", environment=billing)
    async with asyncio.timeout(START_SECONDS):
        while not await answers(f"grpc://{health}"):  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0.05)
    api, _ = await start_api(
        opened,
        stack,
        database=f"jobs_{name}_certificates",
        changes={"JOBS_BILLING_TARGET": internal, **_of("jobs", protection)},
    )
    edge = await opened.enter_async_context(open_edge(stack.status(), api))
    return Way(edge=edge, processes=[process_at(internal), process_at(api)])


def _of(service: str, protection: Protection) -> dict[str, str]:
    return {f"{service.upper()}_{name}": value.format(service=service) for name, value in protection.items()}
