"""The echo, for as long as a block lasts, and what it says about the machine."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from tests.bench.cost import Cost, measured_cost
from tests.bench.cpu import Meter, Time, why_noisy
from tests.bench.load import request
from tests.bench.processes import open_edge, process_at, start
from tests.bench.report import Row
from tests.conftest import free_port
from tests.e2e.local_stack import Stack

CONNECTIONS = 32
SECONDS = 1.5
ECHO, ECHO_EDGE = "echo", "Envoy"
ANSWER = """{
  "data": {
    "id": "vid_01jz8b7q4x8k2p9w3m5c6n7r8s", "status": "completed", "model": "mini",
    "created_at": "2026-06-29T10:00:00.000Z", "completed_at": "2026-06-29T10:06:20.000Z", "credits_charged": 100,
    "output": {
      "video_url": "http://media.example/vid_01jz8b7q4x8k2p9w3m5c6n7r8s.mp4",
      "thumbnail_url": "http://media.example/vid_01jz8b7q4x8k2p9w3m5c6n7r8s.jpg"
    },
    "metadata": {"customer_job_id": "job_123"}
  }
}"""
"""As a poll of a completed job answers."""
PATH = "/v1/videos/generations/vid_01jz8b7q4x8k2p9w3m5c6n7r8s"


@dataclass(frozen=True)
class Yardstick:
    """A running echo behind an edge of its own."""

    edge: str
    meter: Meter

    @cached_property
    def message(self) -> bytes:
        """What to send there: as long as a poll."""
        return request("GET", "bench", PATH, key="rg_live_" + 40 * "x")

    async def measure(self, *, connections: int = CONNECTIONS, seconds: float = SECONDS) -> Cost:
        """Loads the echo for a while."""
        return await measured_cost(
            self.meter, self.edge, lambda: self.message, connections=connections, seconds=seconds
        )


@asynccontextmanager
async def running_yardstick(stack: Stack) -> AsyncIterator[Yardstick]:
    """Runs the echo and its Envoy until the block ends."""
    async with AsyncExitStack() as opened:
        echo = f"127.0.0.1:{free_port()}"
        await start(opened, "tests.bench.echo", echo, ANSWER, environment={})
        edge = await opened.enter_async_context(open_edge(stack.status(), echo))
        yield Yardstick(edge, Meter({ECHO: [process_at(echo).pid], ECHO_EDGE: [process_at(edge).pid]}))


def judged(rows: Sequence[Row], echoes: Sequence[Cost]) -> list[Row]:
    """Returns the rows, marked as noisy if the machine was not fit in one of the rounds of the echo beside them."""
    reasons = [
        why_noisy(each.server_microseconds, sum(each.server_times, Time()).waiting_share) for each in echoes
    ]
    noisy = next(filter(None, reasons), "")
    return [replace(row, noisy=row.noisy or noisy) for row in rows]
