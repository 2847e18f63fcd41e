"""What a process tells of itself as a whole: which version it is, and whether its loop keeps up."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from services.common.telemetry.metrics import gauge

LAG_CHECK_SECONDS = 0.1
LAG_WINDOW_SECONDS = 15.0
"""As long as a usual interval between two scrapes, so that what happens in between is seen."""

_BUILD = gauge("reelgate_build_info", "1; the label says which version this is.", labels=("version",))
_LAG = gauge(
    "reelgate_loop_lag_seconds",
    f"The longest that anything ready to run waited for the event loop in the last {LAG_WINDOW_SECONDS:.0f} s.",
)


@asynccontextmanager
async def process_measured() -> AsyncIterator[None]:
    """Tells the version, and measures the loop until the block ends."""
    _BUILD.labels(version("reelgate")).set(1)
    lags: deque[float] = deque([0.0], maxlen=int(LAG_WINDOW_SECONDS / LAG_CHECK_SECONDS))
    _LAG.set_function(lambda: max(lags))
    measuring = asyncio.create_task(_measure_lag(lags))
    try:
        yield
    finally:
        measuring.cancel()


async def _measure_lag(lags: deque[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_CHECK_SECONDS
        await asyncio.sleep(LAG_CHECK_SECONDS)
        lags.append(max(0.0, loop.time() - due))
