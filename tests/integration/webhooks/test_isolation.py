"""What one receiver or account can take from the others: its own share of claims and time, and no more."""

import asyncio
import contextlib

import pytest
from aiohttp import web

from services.webhooks.domain import ACCOUNT_MAX, RECEIVER_MAX, FreeCapacity
from services.webhooks.settings import WebhooksSettings
from services.webhooks.store.deliveries import _CLAIM, _claim_parameters
from tests.integration.webhooks.dispatching import Bench, open_bench, register
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Database, event, open_client

BACKLOG = 5_000


async def _accept_callbacks(bench: Bench, count: int, *, hosts: int = 1, account: str = "acct_1") -> None:
    await bench.accept(
        *(
            event(f"{account}-{n}", account_id=account, target_url=f"https://{n % hosts}.example.com/hook")
            for n in range(count)
        )
    )


async def test_a_lane_is_claimed_up_to_its_room(settings: WebhooksSettings) -> None:
    async with open_bench(settings) as bench:
        await _accept_callbacks(bench, 2 * RECEIVER_MAX)
        few = await bench.claim(rooms=FreeCapacity(receivers={"acct_1 https://0.example.com": 3}))
        many = await bench.claim()
        none = await bench.claim(rooms=FreeCapacity(receivers={"acct_1 https://0.example.com": 0}))
        rest = await bench.claim()

    assert {each.receiver_id for each in few} == {"acct_1 https://0.example.com"}
    assert [len(claimed) for claimed in (few, many, none, rest)] == [3, RECEIVER_MAX, 0, RECEIVER_MAX - 3]


async def test_an_account_is_claimed_up_to_its_room_over_all_its_lanes(settings: WebhooksSettings) -> None:
    async with open_bench(settings) as bench:
        await _accept_callbacks(bench, 2 * ACCOUNT_MAX, hosts=2 * ACCOUNT_MAX)
        await _accept_callbacks(bench, 2, account="acct_2")
        many = await bench.claim(most=500)
        few = await bench.claim(most=500, rooms=FreeCapacity(accounts={"acct_1": 5}))
        none = await bench.claim(most=500, rooms=FreeCapacity(accounts={"acct_1": 0}))

    assert [each.account_id for each in many].count("acct_1") == ACCOUNT_MAX
    assert [each.account_id for each in many].count("acct_2") == 2
    assert (len(few), none) == (5, [])


async def test_a_host_is_one_receiver_of_an_account_however_it_is_named(
    settings: WebhooksSettings, database: Database
) -> None:
    await register(database, settings, "whe_1", url="https://example.com./hook")
    receivers = {
        "https://Example.com/a": "acct_1 https://example.com",
        "HTTPS://example.com:443?c": "acct_1 https://example.com",
        "https://example.com.:0443/": "acct_1 https://example.com",
        "https://example.com:8443/": "acct_1 https://example.com:8443",
        "http://example.com:80/": "acct_1 http://example.com",
        "nonsense": "acct_1 ",
    }
    endless = f"https://{'ä' * 2_000}/"
    async with open_bench(settings) as bench:
        urls = (*receivers, endless)
        await bench.accept(*(event(f"vid_{n}", target_url=url) for n, url in enumerate(urls)))
        claimed = await bench.claim()

    found = {each.target_url: each.receiver_id for each in claimed if each.target_id == "callback"}
    assert {each.receiver_id for each in claimed if each.target_id != "callback"} == {
        "acct_1 https://example.com"
    }
    assert len(found.pop(endless)) < 300
    assert found == receivers


async def test_an_address_that_is_registered_often_is_one_receiver(
    settings: WebhooksSettings, database: Database
) -> None:
    for number in range(100):
        await register(database, settings, f"whe_{number}", url=f"https://example.com/{number}")
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", target_url="https://example.com/own"))
        claimed = await bench.claim(most=500)
        full = FreeCapacity(receivers={"acct_1 https://example.com": 0})
        more = await bench.claim(most=500, rooms=full)

    assert (len(claimed), more) == (RECEIVER_MAX, [])


async def test_a_backlog_does_not_slow_claims(settings: WebhooksSettings, database: Database) -> None:
    backlogged = "acct_1 https://0.example.com"
    async with open_bench(settings) as bench:
        await _accept_callbacks(bench, RECEIVER_MAX, account="acct_2")
        usual_blocks = await _claim_blocks(bench, database, FreeCapacity(), count=RECEIVER_MAX)
        for first in range(0, BACKLOG, 500):
            await bench.accept(
                *(event(f"vid_{n}", target_url="https://0.example.com/") for n in range(first, first + 500))
            )
        await _accept_callbacks(bench, RECEIVER_MAX, account="acct_3")
        passing_blocks = await _claim_blocks(
            bench, database, FreeCapacity(receivers={backlogged: 0}), count=RECEIVER_MAX
        )
        claims = [await bench.claim() for _ in range(20)]
        taking_blocks = await _claim_blocks(bench, database, FreeCapacity(), count=RECEIVER_MAX)

    assert {len(claimed) for claimed in claims} == {RECEIVER_MAX}
    assert passing_blocks < 2 * usual_blocks
    assert taking_blocks < 2 * usual_blocks


async def _claim_blocks(bench: Bench, database: Database, rooms: FreeCapacity, *, count: int) -> int:
    """Claims, and returns how many blocks that read."""
    await bench.membership.beat()
    owner = await bench.membership.owner()
    async with database.connection() as connection:
        cursor = await connection.execute(
            b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + _CLAIM.sql, _claim_parameters(owner, 100, rooms)
        )
        [row] = await cursor.fetchall()
    [measured] = row["QUERY PLAN"]
    assert measured["Plan"]["Actual Rows"] == count
    return int(measured["Plan"]["Shared Hit Blocks"]) + int(measured["Plan"]["Shared Read Blocks"])


@pytest.mark.parametrize(("count", "is_awake"), [(RECEIVER_MAX - 1, False), (RECEIVER_MAX + 1, True)])
async def test_a_slot_that_frees_in_a_full_lane_waits_for_no_poll(
    settings: WebhooksSettings, receiver: Receiver, count: int, *, is_awake: bool
) -> None:
    async with open_bench(settings) as bench:
        await bench.accept(*(event(f"vid_{n}", target_url=receiver.url) for n in range(count)))
        await bench.deliver_due()

        assert bench.wake.is_set() is is_awake


async def test_a_receiver_that_keeps_failing_is_tried_with_one_at_a_time(
    settings: WebhooksSettings, receiver: Receiver, database: Database
) -> None:
    receiver.answer_with("/hook", *[503] * RECEIVER_MAX, 200)
    async with open_bench(settings) as bench:
        await bench.accept(
            *(event(f"vid_{n}", target_url=receiver.url + "/hook") for n in range(2 * RECEIVER_MAX))
        )
        counts = []
        for _ in range(3):
            await bench.deliver_due()
            counts.append(len(receiver.received))

    assert counts == [RECEIVER_MAX, RECEIVER_MAX + 1, 2 * RECEIVER_MAX]


@pytest.mark.parametrize(("piece", "pause_seconds"), [(b"", 1), (b".", 1), (b"x" * 1_024, 0.3)])
async def test_a_tar_pit_holds_up_nobody_else(
    settings: WebhooksSettings, receiver: Receiver, database: Database, piece: bytes, pause_seconds: float
) -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while not receiver.released.is_set():
                await response.write(piece)
                await _released(receiver, seconds=pause_seconds)
        return response

    receiver.answers["/pit"] = trickle
    count = 5 * RECEIVER_MAX
    async with open_client(settings) as client:
        await client.accept(*(event(f"vid_t{n}", target_url=receiver.url + "/pit") for n in range(count)))
        await receiver.arrival(RECEIVER_MAX)
        await client.accept(
            *(event(f"vid_{n}", account_id="acct_2", target_url=receiver.url + "/hook") for n in range(count))
        )
        await receiver.arrival(RECEIVER_MAX + count)
        arrived = [each.path for each in receiver.received]
        ended = await database.rows("SELECT 1 FROM attempts WHERE job_id LIKE 'vid_t%%'")
        receiver.released.set()

    assert arrived.count("/pit") == RECEIVER_MAX
    assert ended == []


async def _released(receiver: Receiver, *, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await receiver.released.wait()
