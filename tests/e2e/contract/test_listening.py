"""`webhooks listen` against the real edge, through connections that break: none is lost, none comes twice."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
from reelgate_client import Seedancee2, webhooks
from reelgate_client.cli.listening import Listening, Webhook

from tests.e2e.local_stack import Account, Stack
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVENTS = 1_000
BATCHES = 20
CUTS = 20
HAPPEN = """
SELECT stored_count FROM (
    SELECT array_agg('evt_' || n) AS event_ids, array_agg('vid_' || n) AS job_ids, array_agg(%(account)s::text) AS accounts,
        array_agg('test'::text) AS environments, array_agg('seedancee2'::text) AS contracts,
        array_agg('video.generation.completed'::text) AS types, array_agg(1) AS sequences, array_agg(''::text) AS urls,
        array_agg(convert_to('{"data":{"id":"vid_' || n || '"}}', 'UTF8')) AS bodies, array_agg(now()) AS moments
    FROM generate_series(%(first)s::integer, %(last)s::integer) AS n
) AS given CROSS JOIN LATERAL take_events(
    event_ids, job_ids, accounts, environments, contracts, types, sequences, urls, bodies, moments
) AS taken
"""


class Cutter:
    """A proxy that breaks its first connections, each after some bytes of answers."""

    def __init__(self, edge: str) -> None:
        self._host, _, self._port = edge.removeprefix("http://").partition(":")
        self._budgets = itertools.cycle((100, 30_000, 2_000, 60_000, 9_000))
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes one connection on, until it is to break."""
        edge_reader, edge_writer = await asyncio.open_connection(self._host, int(self._port))
        budget = next(self._budgets) if self.cuts < CUTS else None
        upload = asyncio.create_task(_pipe(reader, edge_writer))
        try:
            while chunk := await edge_reader.read(4096):
                if budget is not None and (budget := budget - len(chunk)) < 0:
                    self.cuts += 1
                    writer.transport.abort()
                    return
                writer.write(chunk)
                await writer.drain()
        finally:
            upload.cancel()
            edge_writer.close()
            writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)


@asynccontextmanager
async def cutting(edge: str) -> AsyncIterator[tuple[Cutter, str]]:
    made = Cutter(edge)
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        yield made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_thousand_webhooks_arrive_once_and_in_order_over_twenty_broken_connections(
    stack: Stack, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REELGATE_CONFIG", str(tmp_path))
    loop, listens, taken = asyncio.get_running_loop(), asyncio.Event(), list[str]()
    over = threading.Event()

    async with cutting(stack.edge) as (cutter, url):
        ready = partial(loop.call_soon_threadsafe, listens.set)
        listening = asyncio.create_task(asyncio.to_thread(_listen, account, url, taken, ready, over))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await listens.wait()
                await asyncio.to_thread(_happen, stack, account)
                await asyncio.shield(listening)
        finally:
            over.set()

    assert cutter.cuts >= CUTS
    assert taken == [f"evt_{number}" for number in range(1, EVENTS + 1)]


def _listen(
    account: Account, url: str, taken: list[str], ready: Callable[[], object], over: threading.Event
) -> None:
    """Takes as many webhooks as there will be, and checks each signature. Does not wait before it tries again."""

    def sleep(_seconds: float) -> None:
        assert not over.is_set(), "the test is over"

    async def sleep_soon(seconds: float) -> None:
        sleep(seconds)

    with Seedancee2(account.keys["test"], base_url=url, environment="test", max_retries=CUTS) as client:
        client.core.driver.sleep = sleep_soon  # type: ignore[method-assign]
        listening = Listening(client, say=lambda _: None, sleep=sleep)
        ready()

        def forward(webhook: Webhook) -> int:
            webhooks.verify(webhook.body, webhook.headers, listening.place.secret)
            taken.append(webhook.event_id)
            return 204

        listening.run(forward, show=lambda *_: None, most=EVENTS)


def _happen(stack: Stack, account: Account) -> None:
    """Lets the events of an account happen, one batch after the other, while somebody listens."""
    each = EVENTS // BATCHES
    with psycopg.connect(stack.cluster().url("webhooks"), autocommit=True) as connection:
        for first in range(1, EVENTS, each):
            bound = {"account": account.account_id, "first": first, "last": first + each - 1}
            assert connection.execute(HAPPEN, bound).fetchall() == [(each,)]
