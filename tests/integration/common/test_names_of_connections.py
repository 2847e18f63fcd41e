"""Whoever looks at PostgreSQL's connections sees which service, and what of it, each of them is for."""

import asyncio

from services.common.postgres.database import open_pool
from services.common.postgres.notifier import open_notifier
from tests.conftest import MakeDatabase
from tests.patience import PATIENCE_SECONDS

NAMES = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() ORDER BY 1"


async def test_pools_and_wakeups_are_known_by_their_names(make_database: MakeDatabase) -> None:
    url = make_database("billing")
    async with (
        open_pool(url, name="jobs-api", connections_max=1) as pool,
        open_notifier(url, (), name="jobs-wakeups"),
        pool.connection() as connection,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        names: list[str] = []
        while len(names) < 3:
            names = [row["application_name"] for row in await (await connection.execute(NAMES)).fetchall()]
            await asyncio.sleep(0.01)
    assert names == ["jobs-api", "jobs-wakeups", "jobs-wakeups"]
