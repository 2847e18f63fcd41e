"""Many lost submissions at once: searches for their tasks come to an end, however long the provider's list is."""

import asyncio
import time

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.upstream.provider import UnreachableError
from services.upstream.providers.ark.adapter import LIST_INTERVAL_SECONDS, ArkProvider

SPEED = 10
"""How much faster time passes for the provider's adapter."""
PAGES = 4
SEARCHES_IN_TIME = 5
TIMEOUT_SECONDS = (SEARCHES_IN_TIME + 0.5) * PAGES * LIST_INTERVAL_SECONDS / SPEED


async def test_searches_that_wait_for_each_other_do_not_all_run_out_of_time() -> None:
    now = int(time.time())

    async def show_page(request: web.Request) -> web.Response:
        task = {"id": f"cgt-{request.query['page_num']}", "created_at": now}
        return web.json_response({"items": [task], "total": PAGES})

    app = web.Application()
    app.add_routes([web.get("/contents/generations/tasks", show_page)])
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        provider = ArkProvider(
            session=session,
            base_url=f"http://127.0.0.1:{server.port}",
            api_key="key",
            clock=lambda: time.monotonic() * SPEED,
            sleep=lambda seconds: asyncio.sleep(seconds / SPEED),
        )
        searches = (
            provider.find(f"lost-{number}", model="m", created_after=now, timeout_seconds=TIMEOUT_SECONDS)
            for number in range(2 * SEARCHES_IN_TIME)
        )
        found = await asyncio.gather(*searches, return_exceptions=True)

    assert None in found
    assert {type(each) for each in found if each is not None} <= {UnreachableError}
