"""What callers cost that wait for their jobs, and how soon they hear of the end: over the edge, one job each."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import psycopg

from services.common.postgres.notifier import Notifier, open_notifier
from tests.bench.load import request
from tests.bench.processes import open_edge, process_at, start_api
from tests.bench.report import Row
from tests.e2e.local_stack import Account, Stack

WAITERS = 2_000
ACCOUNTS = 4
"""So that nobody's rate limit is reached."""
CONNECTS_AT_ONCE = 100
ENDS_PER_SECOND = 200
SETTLE_SECONDS = 11.0
"""PostgreSQL counts what a connection did up to 10 s after it fell idle."""
IDLE_SECONDS = 5.0
ANSWER_SECONDS_MAX = 60.0
TOPIC = "jobs_moved"
DATABASE = "waiting_bench"

FILL = """
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version,
        micros_per_second, reserved_micros, charged_micros, refunded_micros, created_at, started_at)
    SELECT 'vid_' || lpad(n::text, 26, '0'), (%(accounts)s::text[])[1 + n %% cardinality(%(accounts)s::text[])], 'live',
        'seedancee2', 'processing', 'mini', '{"prompt":"waves","duration_seconds":5,"resolution":"720p",'
        '"aspect_ratio":"16:9","generate_audio":false,"watermark":false,"return_last_frame":false,"seed":7}',
        '1', 10000000, 50000000, 0, 0, now(), now()
    FROM generate_series(0, %(count)s - 1) AS n
"""
END = """
    UPDATE jobs SET status = 'failed', failure = 'timeout', refunded_micros = reserved_micros, ended_at = now()
    WHERE id = %s
"""


class Waiter(asyncio.Protocol):
    """One customer who waits for one job on a connection of its own."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent
        self._received = b""
        self.answered_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.is_right = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"}") and not self.answered_at.done():
            self.answered_at.set_result(time.perf_counter())
            self.is_right = b'"status":"failed"' in self._received
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answered_at.done():
            self.answered_at.set_exception(exc or ConnectionError("closed"))


async def measure_waiting(stack: Stack) -> list[Row]:
    """Measures a jobs api process of its own behind an edge, and ends the jobs itself, as a worker elsewhere would."""
    async with AsyncExitStack() as opened:
        status = stack.status()
        api, database_url = await start_api(opened, stack, database=DATABASE)
        accounts = [
            await asyncio.to_thread(stack.create_account, f"waits {number}") for number in range(ACCOUNTS)
        ]
        await asyncio.to_thread(_fill, database_url, accounts)
        edge = await opened.enter_async_context(open_edge(status, api))
        notifier = await opened.enter_async_context(
            open_notifier(database_url, (), name="bench", topics=(TOPIC,))
        )
        process = process_at(api)
        await _polled(edge, accounts)
        before = process.memory_info().rss
        waiters = await _waiting(edge, accounts)
        queries = await _queries_per_second(database_url)
        memory = (process.memory_info().rss - before) / WAITERS
        latencies = await _ended(database_url, notifier, waiters)
    answered = sum(waiter.is_right for waiter in waiters)
    return [
        Row(name="callers that wait, over the edge", measured=answered, goal=WAITERS, better="higher"),
        Row(name="memory of jobs for each of them, KiB", measured=memory / 1024, goal=None, better="lower"),
        Row(name="queries/s while they wait", measured=queries, goal=5, better="lower"),
        Row(
            name="job ended → its caller answered, p95, ms",
            measured=sorted(latencies)[int(0.95 * (len(latencies) - 1))] * 1000,
            goal=300,
            better="lower",
        ),
    ]


def _fill(database_url: str, accounts: Sequence[Account]) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        owners = [account.account_id for account in accounts]
        connection.execute(FILL, {"accounts": owners, "count": WAITERS})
        connection.execute("VACUUM ANALYZE")


def _request(accounts: Sequence[Account], number: int, query: str) -> bytes:
    key = accounts[number % len(accounts)].keys["live"]
    return request("GET", "bench", f"/v1/videos/generations/vid_{number:026d}{query}", key=key)


async def _waiter(edge: str, sent: bytes) -> Waiter:
    host, _, port = edge.rpartition(":")
    _, waiter = await asyncio.get_running_loop().create_connection(lambda: Waiter(sent), host, int(port))
    return waiter


async def _polled(edge: str, accounts: Sequence[Account]) -> None:
    """Polls a few jobs, so that what is made at the first call is not counted as theirs who wait."""
    polled = [await _waiter(edge, _request(accounts, number, "")) for number in range(CONNECTS_AT_ONCE)]
    await asyncio.gather(*(waiter.answered_at for waiter in polled))


async def _waiting(edge: str, accounts: Sequence[Account]) -> list[Waiter]:
    waiters: list[Waiter] = []
    for start in range(0, WAITERS, CONNECTS_AT_ONCE):
        sent = [_request(accounts, start + number, "?wait=60") for number in range(CONNECTS_AT_ONCE)]
        waiters += await asyncio.gather(*(_waiter(edge, each) for each in sent))
        await asyncio.sleep(0.1)
    return waiters


async def _queries_per_second(database_url: str) -> float:
    """Returns how many transactions, which are single statements here, the database had while everybody waited."""
    await asyncio.sleep(SETTLE_SECONDS)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        before, started = await _transactions(connection), time.perf_counter()
        await asyncio.sleep(IDLE_SECONDS)
        return (await _transactions(connection) - before - 1) / (time.perf_counter() - started)


async def _transactions(connection: psycopg.AsyncConnection) -> int:
    cursor = await connection.execute(
        "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def _ended(database_url: str, notifier: Notifier, waiters: Sequence[Waiter]) -> list[float]:
    """Ends one job after the other. Returns how long after its commit each caller was answered."""
    committed_at = []
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        started = time.perf_counter()
        for number in range(len(waiters)):
            await asyncio.sleep(max(0.0, started + number / ENDS_PER_SECOND - time.perf_counter()))
            job_id = f"vid_{number:026d}"
            await connection.execute(END, (job_id,))
            committed_at.append(time.perf_counter())
            notifier.publish(TOPIC, job_id)
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        answered_at = await asyncio.gather(*(waiter.answered_at for waiter in waiters))
    return [answered - committed for answered, committed in zip(answered_at, committed_at, strict=True)]
