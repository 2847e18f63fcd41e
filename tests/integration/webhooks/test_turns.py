"""Accounts take turns, whatever waits for one of them; and a claim costs the same however much that is."""

from collections import Counter
from collections.abc import Sequence

import pytest

from services.webhooks.domain import ACCOUNT_MAX, RECEIVER_MAX, FreeCapacity
from services.webhooks.settings import WebhooksSettings
from services.webhooks.store.deliveries import _CLAIM, _claim_parameters
from tests.integration.webhooks.dispatching import Bench, answered, open_bench
from tests.integration.webhooks.service import Database, event

LANES = 100
CLAIM_MAX = 100
# As `accept_events` leaves them, but quicker.
BACKLOG = (
    """INSERT INTO events (event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at)
    SELECT 'b' || n, 'b' || n, %(account)s, 'live', 'seedancee2', 'video.generation.completed', 1, '{}', now()
    FROM generate_series(1, %(count)s) AS n""",
    """INSERT INTO deliveries (job_id, target_id, sequence, event_id, target_url, account_id, environment)
    SELECT 'b' || n, 'callback', 1, 'b' || n, 'https://' || n %% %(lanes)s || '.example.com/', %(account)s, 'live'
    FROM generate_series(1, %(count)s) AS n""",
    """INSERT INTO heads (job_id, target_id, next_sequence, lane_id, due_at)
    SELECT 'b' || n, 'callback', 1, %(account)s || ' https://' || n %% %(lanes)s || '.example.com',
        now() - interval '1 hour' FROM generate_series(1, %(count)s) AS n""",
    """INSERT INTO lanes (lane_id, account_id, next_due_at)
    SELECT DISTINCT lane_id, %(account)s, now() - interval '1 hour' FROM heads WHERE job_id LIKE 'b%%'""",
    "INSERT INTO turns VALUES (%(account)s, now() - interval '1 hour')",
    "ANALYZE",
)


async def _add_backlog(database: Database, *, each: int, account: str = "acct_1") -> None:
    """Lets the same count of events wait in each of LANES lanes of an account, for an hour."""
    async with database.connection() as connection:
        for statement in BACKLOG:
            bound = {"account": account, "count": LANES * each, "lanes": LANES}
            await connection.execute(statement.encode(), bound if "%" in statement else None)


async def _accept_for(bench: Bench, accounts: Sequence[str], *, each: int = 1) -> None:
    await bench.accept(
        *(
            event(f"{account}-{n}", account_id=account, target_url="https://example.com/")
            for account in accounts
            for n in range(each)
        )
    )


async def test_an_event_is_in_the_first_claim_after_it_whatever_waits_for_others(
    settings: WebhooksSettings, database: Database
) -> None:
    await _add_backlog(database, each=50)
    async with open_bench(settings) as bench:
        await _accept_for(bench, ["acct_2"])
        claimed = await bench.claim(most=CLAIM_MAX)

    counts = Counter(delivery.account_id for delivery in claimed)
    assert counts == {"acct_1": CLAIM_MAX // 2, "acct_2": 1}


async def test_accounts_take_turns_where_one_claim_does_not_reach_all(settings: WebhooksSettings) -> None:
    accounts = [f"acct_{number}" for number in range(5)]
    async with open_bench(settings) as bench:
        await _accept_for(bench, accounts, each=3)
        claimed = [await bench.claim(most=1) for _ in range(15)]

    order = [delivery.account_id for [delivery] in claimed]
    assert [sorted(order[first : first + 5]) for first in (0, 5, 10)] == [accounts] * 3


async def test_the_lanes_of_an_account_take_turns(settings: WebhooksSettings, database: Database) -> None:
    await _add_backlog(database, each=2)
    async with open_bench(settings) as bench:
        claimed = [await bench.claim(most=10) for _ in range(LANES // 10)]

    receivers = Counter(delivery.receiver_id for deliveries in claimed for delivery in deliveries)
    assert (len(receivers), set(receivers.values())) == (LANES, {1})


async def test_what_is_full_hides_nobody_and_waits_for_no_poll(settings: WebhooksSettings) -> None:
    blocked = [f"acct_{number}" for number in range(20)]
    async with open_bench(settings) as bench:
        await _accept_for(bench, blocked, each=RECEIVER_MAX + 1)
        full = FreeCapacity(receivers={f"{account} https://example.com": 0 for account in blocked})
        await _accept_for(bench, ["victim"])
        claimed = await bench.deliveries.claim(deliveries_max=10, rooms=full)
        nothing = await bench.deliveries.claim(deliveries_max=10, rooms=full)

    assert [delivery.account_id for delivery in claimed.deliveries] == ["victim"]
    assert (nothing.deliveries, nothing.is_cut) == ([], False)


async def test_a_claim_goes_on_at_once_while_there_is_room_for_what_is_due(
    settings: WebhooksSettings, database: Database
) -> None:
    await _add_backlog(database, each=10)
    accounts = [f"victim_{number}" for number in range(2 * CLAIM_MAX)]
    async with open_bench(settings) as bench:
        await _accept_for(bench, accounts)
        waiting = {"acct_1": LANES * 10} | dict.fromkeys(accounts, 1)
        under_way: Counter[str] = Counter()
        went_on = True
        while went_on:
            rooms = FreeCapacity(
                accounts={account: ACCOUNT_MAX - count for account, count in under_way.items()}
            )
            claimed = await bench.deliveries.claim(deliveries_max=CLAIM_MAX, rooms=rooms)
            under_way.update(delivery.account_id for delivery in claimed.deliveries)
            went_on = claimed.is_cut or len(claimed.deliveries) == CLAIM_MAX

    assert under_way == {account: min(count, ACCOUNT_MAX) for account, count in waiting.items()}


async def test_a_claim_of_little_is_not_repeated(settings: WebhooksSettings) -> None:
    async with open_bench(settings) as bench:
        await _accept_for(bench, ["acct_1", "acct_2", "acct_3"], each=2)
        claimed = await bench.deliveries.claim(deliveries_max=CLAIM_MAX, rooms=FreeCapacity())

    assert (len(claimed.deliveries), claimed.is_cut) == (6, False)


async def test_a_turn_goes_with_what_waits_and_comes_with_what_is_next(
    settings: WebhooksSettings, database: Database
) -> None:
    async with open_bench(settings) as bench:
        await _accept_for(bench, ["acct_1"])
        [delivery] = await bench.claim()
        await bench.deliveries.record([answered(delivery, 200)])
        await database.make_due()
        await bench.claim()
        gone = await database.rows("SELECT 1 FROM turns UNION ALL SELECT 1 FROM lanes")
        await _accept_for(bench, ["acct_1"])
        await bench.accept(event("vid_again", target_url="https://example.com/"))
        again = await bench.claim()

    assert gone == []
    assert [delivery.job_id for delivery in again] == ["vid_again"]


@pytest.mark.parametrize("rooms", [FreeCapacity(), FreeCapacity(accounts={"acct_1": 0})])
async def test_a_claim_reads_no_more_where_a_hundred_times_as_much_waits(
    settings: WebhooksSettings, database: Database, rooms: FreeCapacity
) -> None:
    await _add_backlog(database, each=10)
    before = await _claim_blocks(database, rooms)
    await database.rows("TRUNCATE events, heard, deliveries, attempts, heads, lanes, turns")
    await _add_backlog(database, each=1_000)
    after = await _claim_blocks(database, rooms)

    assert after < 2 * before + 20


async def _claim_blocks(database: Database, rooms: FreeCapacity) -> int:
    """Claims, and returns how many blocks that read."""
    async with database.connection() as connection:
        cursor = await connection.execute(
            b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + _CLAIM.sql, _claim_parameters(0, CLAIM_MAX, rooms)
        )
        [row] = await cursor.fetchall()
    [measured] = row["QUERY PLAN"]
    return int(measured["Plan"]["Shared Hit Blocks"]) + int(measured["Plan"]["Shared Read Blocks"])
