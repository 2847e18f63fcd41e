"""A pool of connections tells how many it has, and how long they were waited for."""

import asyncio

from services.common.postgres.database import open_pool
from tests.conftest import MakeDatabase
from tests.metric_values import value, values


async def test_connections_are_used_or_idle_and_who_waits_is_counted(make_database: MakeDatabase) -> None:
    async with open_pool(make_database("billing"), name="measured", connections_max=1) as pool:
        async with pool.connection():
            assert value("reelgate_pool_connections", pool="measured", state="used") == 1
            requests, waits = (
                value(f"reelgate_pool_{name}_total", pool="measured") for name in ("requests", "waits")
            )
            waiting = asyncio.create_task(pool.getconn())
            while not value("reelgate_pool_waiting", pool="measured"):  # noqa: ASYNC110  nobody rings
                await asyncio.sleep(0.01)
        await pool.putconn(await waiting)

        assert value("reelgate_pool_connections", pool="measured", state="idle") == 1
        assert value("reelgate_pool_requests_total", pool="measured") == requests + 1
        assert value("reelgate_pool_waits_total", pool="measured") == waits + 1
        assert value("reelgate_pool_wait_seconds_total", pool="measured") > 0
        assert value("reelgate_pool_timeouts_total", pool="measured") == 0

    assert ("measured",) not in values("reelgate_pool_waiting")
