import asyncio
from typing import Final

import aiohttp

from services.common.egress.policy import UrlPolicy
from services.common.egress.session import open_egress_session
from services.common.egress.urls import origin_of, outgoing_url
from services.edge.settings import EdgeSettings

DRAIN_SECONDS_MAX: Final = 70.0
"""Longer than any request may take, streams excepted."""
POLL_SECONDS: Final = 0.1
TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0)
ACTIVE: Final = "http.edge.downstream_rq_active"


async def drain(settings: EdgeSettings) -> int:
    """Makes a running Envoy unready, and returns when the requests it has are answered: now it may be stopped.

    From then on `/readyz` is 503 and every answer closes its connection. SIGTERM alone would cut requests off.
    Returns how many are left after DRAIN_SECONDS_MAX: streams of events, whose listeners connect again.
    Raises aiohttp.ClientError when Envoy's admin address does not answer.
    """
    admin = f"http://{settings.admin_address}"
    policy = UrlPolicy(origins_trusted=frozenset({origin_of(admin)}))
    async with open_egress_session(policy, connections_max=1) as session:
        async with session.post(
            outgoing_url(f"{admin}/healthcheck/fail"), timeout=TIMEOUT, raise_for_status=True
        ):
            pass
        await asyncio.sleep(settings.notice_seconds)
        for _ in range(int(DRAIN_SECONDS_MAX / POLL_SECONDS)):
            if not await _active_requests(session, admin):
                return 0
            await asyncio.sleep(POLL_SECONDS)
        return await _active_requests(session, admin)


async def _active_requests(session: aiohttp.ClientSession, admin: str) -> int:
    query = {"filter": f"^{ACTIVE}$", "format": "json"}
    async with session.get(
        outgoing_url(f"{admin}/stats", query), timeout=TIMEOUT, raise_for_status=True
    ) as answer:
        found = await answer.json()
    return sum(int(stat["value"]) for stat in found["stats"])
