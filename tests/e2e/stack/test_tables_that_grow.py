"""What a request costs does not grow with what is stored, whenever PostgreSQL made its plans."""

import asyncio
from collections.abc import Iterator

import psycopg

from tests.e2e.customer import ENDED, SMALL, Customer, open_customer
from tests.e2e.local_stack import Stack, running_stack
from tests.e2e.receiver import Receiver
from tests.patience import PATIENCE_SECONDS

DATABASES = ("jobs", "billing", "webhooks")
JOBS = 30
"""So few rows that PostgreSQL would rather read all of them than use an index, and more than the price list has."""
QUEUES = ("work", "outbox", "place_changes", "margin_changes")
"""Tables that are emptied, and whose duties read all that is in them."""
READ_WHOLE = """
    SELECT relname, seq_tup_read FROM pg_stat_user_tables
    WHERE n_live_tup >= %s AND relname <> ALL (%s) AND seq_tup_read > 0
"""


async def test_no_request_reads_a_table_whole_whose_plans_were_made_while_it_was_small() -> None:
    with running_stack("--simulator-mode", "instant") as stack:
        key = stack.create_account().keys["live"]
        async with Receiver().listening() as receiver, open_customer(stack.edge, key) as customer:
            await walk(customer, receiver, "first")
            await asyncio.to_thread(gather_statistics, stack)
            await walk(customer, receiver, "second")
            before = await asyncio.to_thread(rows_read_whole, stack)
            await walk(customer, receiver, "third")
            after = await asyncio.to_thread(rows_read_whole, stack)

    grown = {table: rows - before.get(table, 0) for table, rows in after.items()}
    assert {table: rows for table, rows in grown.items() if rows} == {}


async def walk(customer: Customer, receiver: Receiver, name: str) -> None:
    """Creates jobs, polls them until they have ended, lists them, and waits for their webhooks."""
    body = {"model": "mini", "callback_url": receiver.hook(name), "input": {"prompt": "a boat", **SMALL}}
    created = await asyncio.gather(*(customer.create(body) for _ in range(JOBS)))
    await asyncio.gather(
        *(customer.until(each["id"], ENDED, seconds=PATIENCE_SECONDS) for each in created),
        *(customer.get(path) for path in ("/v1/videos/generations", "/v1/usage")),
    )
    await receiver.several(name, JOBS, seconds=PATIENCE_SECONDS)


def gather_statistics(stack: Stack) -> None:
    """Does what PostgreSQL does by itself within a minute."""
    for connection in connections(stack):
        connection.execute("ANALYZE")


def rows_read_whole(stack: Stack) -> dict[str, int]:
    """Returns how many rows were read of each table that has a row for each job, in scans of the whole table."""
    return {
        f"{connection.info.dbname}.{table}": rows
        for connection in connections(stack)
        for table, rows in connection.execute(READ_WHOLE, (JOBS, list(QUEUES)))
    }


def connections(stack: Stack) -> Iterator[psycopg.Connection]:
    for database in DATABASES:
        with psycopg.connect(stack.cluster().url(database), autocommit=True) as connection:
            yield connection
