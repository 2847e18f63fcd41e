"""What an event costs, in SQL statements, from the outbox of jobs to its receiver: counted in PostgreSQL's own log."""

import asyncio
import re
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from services.common.loop import performing
from services.common.postgres.database import open_pool
from services.common.rpc.client import open_channel
from services.jobs.clients import IntakeClient
from services.jobs.duties.relay_events import relay_events
from services.jobs.store.outbox import SqlOutbox
from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import Role, open_webhooks
from tests.conftest import MakeDatabase
from tests.integration.webhooks.receiver import Receiver, until
from tests.integration.webhooks.service import Client, event

STATEMENTS_MAX = 6
STATEMENTS_OF_WEBHOOKS_MAX = 4
"""Accept, wake the dispatcher, claim, record."""
ISOLATED = 9
TOGETHER = 300
APART_SECONDS = 0.15
UNWATCHED = "-c log_statement=none"
_STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)")
_DUTIES = (
    "beat_at = now()",
    "pg_locks",
    "INSERT INTO dispatchers",
    "pg_try_advisory_lock",
    "notice_due",
    "close_disabled",
    "advance_redelivery",
    "LISTEN",
)
"""What is asked from time to time however much is delivered, and once per connection."""


class Log:
    """The cluster's log of what is executed in some databases from now on."""

    def __init__(self, urls: Sequence[str]) -> None:
        for url in urls:
            with psycopg.connect(url, autocommit=True, options=UNWATCHED) as connection:
                name = sql.Identifier(urlsplit(url).path.removeprefix("/"))
                connection.execute(sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(name))
                [[folder]] = connection.execute("SHOW data_directory").fetchall()
        self._file = Path(folder).parent / "postgres.log"
        self._start = self._file.stat().st_size

    def count(self, text: str = "") -> int:
        """Returns how many statements contained a text, leaving out those of duties."""
        with self._file.open() as log:
            log.seek(self._start)
            found = _STATEMENT.findall(log.read())
        return sum(text in each and not any(duty in each for duty in _DUTIES) for each in found)


@asynccontextmanager
async def _relaying(jobs_url: str, address: str) -> AsyncIterator[asyncio.Event]:
    """Hands events over as the jobs service does, whenever the bell rings."""
    bell = asyncio.Event()
    async with (
        open_pool(jobs_url, name="jobs", connections_max=2) as pool,
        open_channel(address) as channel,
    ):
        duty = relay_events(outbox=SqlOutbox(pool), intake=IntakeClient(channel), wake=bell)
        async with performing(duty):
            yield bell


@pytest.fixture
async def api_address(settings: WebhooksSettings, log: Log, *, is_apart: bool) -> AsyncIterator[str]:
    """Runs the service as one process, or its dispatcher apart from its API."""
    async with AsyncExitStack() as stack:
        role = Role.API if is_apart else Role.ALL
        running_api = await stack.enter_async_context(open_webhooks(settings, role=role))
        if is_apart:
            await stack.enter_async_context(open_webhooks(settings, role=Role.DISPATCHER))
        assert running_api.internal_address is not None
        yield running_api.internal_address


@pytest.fixture
def jobs_url(make_database: MakeDatabase) -> str:
    return make_database("jobs")


@pytest.fixture
def log(settings: WebhooksSettings, jobs_url: str, watched: Sequence[str]) -> Log:
    urls = {"jobs": jobs_url, "webhooks": settings.database_url}
    return Log([urls[name] for name in watched])


@pytest.mark.parametrize(
    ("watched", "is_apart", "statements_max"),
    [(("jobs", "webhooks"), False, STATEMENTS_MAX), (("webhooks",), True, STATEMENTS_OF_WEBHOOKS_MAX)],
)
async def test_an_isolated_event_costs_few_statements(
    log: Log, jobs_url: str, api_address: str, receiver: Receiver, statements_max: int
) -> None:
    counts: list[int] = []
    async with _relaying(jobs_url, api_address) as bell:
        for number in range(ISOLATED):
            await asyncio.sleep(APART_SECONDS)
            before = log.count()
            _put_into_outbox(jobs_url, number, target_url=receiver.url)
            bell.set()
            await until(lambda: log.count("record_attempts") > len(counts))
            await asyncio.sleep(APART_SECONDS)
            counts.append(log.count() - before)

    # A poll falls into some.
    assert statistics.median(counts) <= statements_max
    assert len(receiver.received) == ISOLATED


@pytest.mark.parametrize(("watched", "is_apart"), [(("webhooks",), False)])
async def test_events_that_come_together_share_their_statements(
    log: Log, api_address: str, receiver: Receiver
) -> None:
    async with open_channel(api_address) as channel:
        await Client(internal=channel, admin=channel).accept(
            *(
                event(f"vid_{n}", account_id=f"acct_{n % 10}", target_url=receiver.url)
                for n in range(TOGETHER)
            )
        )
        await receiver.arrival(TOGETHER)

    assert log.count() <= TOGETHER / 2


def _put_into_outbox(url: str, number: int, *, target_url: str) -> None:
    with psycopg.connect(url, autocommit=True, options=UNWATCHED) as connection:
        connection.execute(
            """INSERT INTO outbox (event_id, job_id, account_id, environment, contract, type, sequence, target_url,
                body, occurred_at)
            VALUES (%s, %s, 'acct_1', 'live', 'seedancee2', 'video.generation.completed', 1, %s, '{}', now())""",
            (f"vid_{number}-1", f"vid_{number}", target_url),
        )
