"""How fast the ledger sets credits aside, as ratios to what its PostgreSQL does with one row that all update."""

import asyncio
import itertools
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import psycopg
from reelgate.admin.v1 import account_service_pb2_grpc, audit_pb2, key_admin_service_pb2_grpc
from reelgate.admin.v1.account_service_pb2 import CreateAccountRequest, GrantCreditsRequest
from reelgate.admin.v1.environment_pb2 import Environment
from reelgate.admin.v1.key_admin_service_pb2 import CreateKeyRequest
from reelgate.internal.ledger.v1.ledger_service_pb2 import CreateHoldRequest

from services.common.rpc.client import open_channel
from services.common.tls.files import TlsFolder
from services.devstack import postgres
from tests.bench.grpc_load import call_repeatedly, client_context
from tests.bench.load import Measured
from tests.bench.report import Row
from tests.e2e.local_stack import Stack

AT_ONCE = 32
ROUNDS = 5
SECONDS = 2.0
ACCOUNTS = 50
HOLDS_PER_STATEMENT = 100
CREATE_HOLD = "/reelgate.internal.ledger.v1.LedgerService/CreateHold"
NOTE = audit_pb2.AuditNote(actor="bench", reason="bench")
DATABASE = "ledger_bench"
UPDATE = "UPDATE counter SET n = n + 1 WHERE id = 1;\n"
CREATE_HOLDS = (
    "SELECT * FROM create_holds(%s, array_fill(%s::text, ARRAY[100]), array_fill('live'::text, ARRAY[100]),"
    " array_fill(1::bigint, ARRAY[100]), array_fill(%s::text, ARRAY[100]))"
)
Payer = tuple[str, str]
"""An account, and a key of it."""


async def measure_ledger(stack: Stack) -> list[Row]:
    """Measures the stack's billing process, one account that all spend from and many in turn.

    Beside it, turn by turn, pgbench: as many connections that all update one row, each update a commit of its own.
    """
    status = stack.status()
    address, url = status["grpc"]["billing"]["internal"], status["database"]["billing"]
    payers = await _payers(status["grpc"]["billing"]["admin"], stack.tls_of("operator"))
    tls = client_context(stack.tls_of("jobs").read())
    numbers = itertools.count()
    hot, spread = _holds(payers[:1], numbers), _holds(payers, numbers)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "update.sql"
        script.write_text(UPDATE, encoding="utf-8")
        counter_url = await asyncio.to_thread(_make_counter, stack.cluster())
        rounds = [
            (
                await asyncio.to_thread(_updates_per_second, counter_url, script),
                await _call(address, tls, hot.__next__),
                await _call(address, tls, spread.__next__),
                await asyncio.to_thread(_holds_per_second, url, payers[0], numbers),
            )
            for _ in range(ROUNDS)
        ]
    return _rows(rounds)


def _rows(rounds: Sequence[tuple[float, Measured, Measured, float]]) -> list[Row]:
    failed = sum(
        count
        for _, *measured, _ in rounds
        for each in measured
        for status, count in each.statuses.items()
        if status != 200
    )
    rates = {
        f"one row updated by {AT_ONCE} connections, commits/s": [updates for updates, *_ in rounds],
        "one account, holds/s": [hot.per_second for _, hot, _, _ in rounds],
        f"{ACCOUNTS} accounts, holds/s": [spread.per_second for _, _, spread, _ in rounds],
        f"one account, {HOLDS_PER_STATEMENT} holds a statement in SQL, holds/s": [
            in_sql for *_, in_sql in rounds
        ],
    }
    return [
        *(Row(name=name, measured=median(each), goal=None, better="higher") for name, each in rates.items()),
        Row(
            name="one account, holds / row updates",
            measured=median(hot.per_second / updates for updates, hot, _, _ in rounds),
            must=1.3,
            goal=2,
            better="higher",
        ),
        Row(
            name=f"{ACCOUNTS} accounts, holds / row updates",
            measured=median(spread.per_second / updates for updates, _, spread, _ in rounds),
            goal=None,
            better="higher",
        ),
        Row(name="hold errors under load", measured=failed, goal=0, better="lower"),
    ]


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


def _holds(payers: Sequence[Payer], numbers: Iterator[int]) -> Iterator[bytes]:
    for account_id, key_id in itertools.cycle(payers):
        yield CreateHoldRequest(
            hold_id=_hold_id(next(numbers)),
            account_id=account_id,
            environment="live",
            amount_micros=1,
            key_id=key_id,
        ).SerializeToString()


def _hold_id(number: int) -> str:
    return f"bench_{number:020}"


async def _call(address: str, tls: ssl.SSLContext, next_message: Callable[[], bytes]) -> Measured:
    return await call_repeatedly(
        address, CREATE_HOLD, next_message, at_once=AT_ONCE, seconds=SECONDS, tls=tls
    )


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
