import asyncio
from typing import Final

import aiohttp

from services.edge.settings import EdgeSettings

DRAIN_SECONDS_MAX: Final = 70.0
"""Longer than any request may take, streams excepted."""
POLL_SECONDS: Final = 0.1
CALL_SECONDS: Final = 2.0
ACTIVE: Final = "http.edge.downstream_rq_active"


async def drain(settings: EdgeSettings) -> int:
    """Makes a running Envoy unready, and returns when the requests it has are answered: now it may be stopped.

    From then on `/readyz` is 503 and every answer closes its connection. SIGTERM alone would cut requests off.
    Returns how many are left after DRAIN_SECONDS_MAX: streams of events, whose listeners connect again.
    Raises aiohttp.ClientError when Envoy's admin address does not answer.
    """
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    address = f"http://{settings.admin_address}"
    async with aiohttp.ClientSession(address, timeout=timeout, raise_for_status=True) as admin:
        (await admin.post("/healthcheck/fail")).release()
        await asyncio.sleep(settings.notice_seconds)
        for _ in range(int(DRAIN_SECONDS_MAX / POLL_SECONDS)):
            if not await _active_requests(admin):
                return 0
            await asyncio.sleep(POLL_SECONDS)
        return await _active_requests(admin)


async def _active_requests(admin: aiohttp.ClientSession) -> int:
    async with admin.get("/stats", params={"filter": f"^{ACTIVE}$", "format": "json"}) as answer:
        found = await answer.json()
    return sum(int(stat["value"]) for stat in found["stats"])
