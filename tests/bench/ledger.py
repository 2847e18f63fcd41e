"""How fast the ledger sets credits aside, as ratios to what its PostgreSQL does with one row that all update.

Holds are asked for as a jobs process does, with its client; this process is that process here.
"""

import asyncio
import itertools
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg
from reelgate.admin.v1 import account_service_pb2_grpc, audit_pb2, key_admin_service_pb2_grpc
from reelgate.admin.v1.account_service_pb2 import CreateAccountRequest, GrantCreditsRequest
from reelgate.admin.v1.environment_pb2 import Environment
from reelgate.admin.v1.key_admin_service_pb2 import CreateKeyRequest

from services.common.errors import ServiceError
from services.common.rpc.client import open_channel
from services.common.tls.files import TlsFolder
from services.devstack import postgres
from services.jobs.clients import LedgerClient
from services.jobs.domain.requests import Owner
from tests.bench.cost import Cost, cost_rows
from tests.bench.cpu import Meter, spent
from tests.bench.load import Measured
from tests.bench.report import Row
from tests.e2e.local_stack import Stack

AT_ONCE = 32
MANY_AT_ONCE = 128
ROUNDS = 5
SECONDS = 2.0
ACCOUNTS = 50
HOLDS_PER_STATEMENT = 100
NOTE = audit_pb2.AuditNote(actor="bench", reason="bench")
DATABASE = "ledger_bench"
OK = 200
UPDATE = "UPDATE counter SET n = n + 1 WHERE id = 1;\n"
CREATE_HOLDS = (
    "SELECT * FROM create_holds(%s, array_fill(%s::text, ARRAY[100]), array_fill('live'::text, ARRAY[100]),"
    " array_fill(1::bigint, ARRAY[100]), array_fill(%s::text, ARRAY[100]))"
)
Payer = tuple[str, str]
"""An account, and a key of it."""


@dataclass(frozen=True, kw_only=True)
class _Round:
    """What one row that all update allows, and what the ledger did beside it."""

    updates_per_second: float
    hot: Cost
    """One account, AT_ONCE."""
    crowded: Cost
    """One account, MANY_AT_ONCE."""
    spread: Cost
    """ACCOUNTS accounts, AT_ONCE."""
    in_sql_per_second: float


async def measure_ledger(stack: Stack) -> list[Row]:
    """Measures the stack's billing process, one account that all spend from and many in turn.

    Beside it, turn by turn, pgbench: as many connections that all update one row, each update a commit of its own.
    """
    status = stack.status()
    address, url = status["grpc"]["billing"]["internal"], status["database"]["billing"]
    payers = await _payers(status["grpc"]["billing"]["admin"], stack.tls_of("operator"))
    [pid] = [each["pid"] for each in status["processes"] if each["name"] == "billing"]
    meter = Meter({"billing": [pid]}, url=url, databases=[url.rpartition("/")[2].partition("?")[0]])
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "update.sql"
        script.write_text(UPDATE, encoding="utf-8")
        counter_url = await asyncio.to_thread(_make_counter, stack.cluster())
        async with open_channel(address, tls=stack.tls_of("jobs")) as channel:
            held = _Holding(LedgerClient(channel), meter, numbers)
            rounds = [
                _Round(
                    updates_per_second=await asyncio.to_thread(_updates_per_second, counter_url, script),
                    hot=await held.cost(payers[:1], at_once=AT_ONCE),
                    crowded=await held.cost(payers[:1], at_once=MANY_AT_ONCE),
                    spread=await held.cost(payers, at_once=AT_ONCE),
                    in_sql_per_second=await asyncio.to_thread(_holds_per_second, url, payers[0], numbers),
                )
                for _ in range(ROUNDS)
            ]
    return _rows(rounds)


def _rows(rounds: Sequence[_Round]) -> list[Row]:
    costs = [cost for each in rounds for cost in (each.hot, each.crowded, each.spread)]
    failed = sum(n for cost in costs for status, n in cost.measured.statuses.items() if status != OK)
    rates = {
        f"one row updated by {AT_ONCE} connections, commits/s": [each.updates_per_second for each in rounds],
        "one account, holds/s": [each.hot.measured.per_second for each in rounds],
        f"one account, {MANY_AT_ONCE} at once, holds/s": [
            each.crowded.measured.per_second for each in rounds
        ],
        f"{ACCOUNTS} accounts, holds/s": [each.spread.measured.per_second for each in rounds],
        f"one account, {HOLDS_PER_STATEMENT} holds a statement in SQL, holds/s": [
            each.in_sql_per_second for each in rounds
        ],
    }
    return [
        *(Row(name=name, measured=median(each), goal=None, better="higher") for name, each in rates.items()),
        Row(
            name="one account, holds / row updates",
            measured=median(each.hot.measured.per_second / each.updates_per_second for each in rounds),
            must=1.3,
            goal=2,
            better="higher",
        ),
        Row(
            name=f"{ACCOUNTS} accounts, holds / row updates",
            measured=median(each.spread.measured.per_second / each.updates_per_second for each in rounds),
            goal=None,
            better="higher",
        ),
        Row(
            name="one account, p50 of a hold, ms",
            measured=median(1000 * each.hot.measured.percentile(0.5) for each in rounds),
            goal=None,
            better="lower",
        ),
        *cost_rows("a hold", [each.hot.microseconds for each in rounds]),
        Row(name="hold errors under load", measured=failed, goal=0, better="lower"),
    ]


@dataclass(frozen=True)
class _Holding:
    """Sets credits aside, call after call."""

    ledger: LedgerClient
    meter: Meter
    numbers: Iterator[int]

    async def cost(self, payers: Sequence[Payer], *, at_once: int) -> Cost:
        """Has so many callers do so in turn for SECONDS, and returns what that cost."""
        turns, measured = itertools.cycle(payers), Measured()
        before = await asyncio.to_thread(self.meter.read)
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._go_on(turns, started + SECONDS, measured))
        measured.seconds = time.perf_counter() - started
        return Cost(measured, spent(before, await asyncio.to_thread(self.meter.read)))

    async def _go_on(self, turns: Iterator[Payer], until: float, measured: Measured) -> None:
        while (asked := time.perf_counter()) < until:
            account_id, key_id = next(turns)
            owner = Owner(account_id=account_id, environment="live", contract="nextapi")
            try:
                await self.ledger.hold(
                    _hold_id(next(self.numbers)), owner=owner, key_id=key_id, amount_micros=1
                )
                status = OK
            except ServiceError as error:
                status = error.status.http
            measured.statuses[status] = measured.statuses.get(status, 0) + 1
            measured.latencies.append(time.perf_counter() - asked)


async def _payers(address: str, tls: TlsFolder) -> list[Payer]:
    async with open_channel(address, tls=tls) as channel:
        accounts = account_service_pb2_grpc.AccountServiceStub(channel)
        keys = key_admin_service_pb2_grpc.KeyAdminServiceStub(channel)
        payers = []
        for _ in range(ACCOUNTS):
            created = await accounts.CreateAccount(
                CreateAccountRequest(name="ledger bench", contract="nextapi", audit=NOTE)
            )
            account_id = created.account_id
            await accounts.GrantCredits(
                GrantCreditsRequest(
                    grant_id=account_id,
                    account_id=account_id,
                    environment=Environment.ENVIRONMENT_LIVE,
                    amount_micros=10**15,
                    audit=NOTE,
                )
            )
            key = await keys.CreateKey(
                CreateKeyRequest(account_id=account_id, environment=Environment.ENVIRONMENT_LIVE, audit=NOTE)
            )
            payers.append((account_id, key.key.key_id))
        return payers


def _hold_id(number: int) -> str:
    return f"bench_{number:020}"


def _make_counter(cluster: postgres.Cluster) -> str:
    """Returns the address of a database with a counter."""
    cluster.ensure_database(DATABASE)
    with psycopg.connect(cluster.url(DATABASE), autocommit=True) as connection:
        connection.execute("CREATE TABLE counter (id integer PRIMARY KEY, n bigint NOT NULL)")
        connection.execute("INSERT INTO counter VALUES (1, 0)")
    return cluster.url(DATABASE)


def _updates_per_second(url: str, script: Path) -> float:
    done = subprocess.run(
        [postgres.binary("pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={AT_ONCE}",
         f"--time={SECONDS:.0f}", f"--file={script}", url],
        capture_output=True, text=True, check=True, timeout=SECONDS + 30,
    )  # fmt: skip
    [rate] = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("tps")]
    return float(rate)


def _holds_per_second(url: str, payer: Payer, numbers: Iterator[int]) -> float:
    account_id, key_id = payer
    count = 0
    with psycopg.connect(url, autocommit=True) as connection:
        started = time.perf_counter()
        while (took := time.perf_counter() - started) < SECONDS / 2:
            hold_ids = [_hold_id(next(numbers)) for _ in range(HOLDS_PER_STATEMENT)]
            count += len(connection.execute(CREATE_HOLDS, (hold_ids, account_id, key_id)).fetchall())
    return count / took
