"""What a request costs, by process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.cpu import GENERATOR, SERVER, Meter, Time, spent
from tests.bench.load import Measured, load
from tests.bench.report import Row

VERIFIER = "PostgreSQL: billing-verifier"
APART = frozenset({GENERATOR, VERIFIER, "simulator"})
"""No cost of a request: it would be the same without, or it is somebody else's."""
CPU = "CPU µs"


@dataclass(frozen=True)
class Cost:
    """What a load did, and the processor time that it took in all."""

    measured: Measured
    spent: Mapping[str, Time]

    @property
    def microseconds(self) -> dict[str, float]:
        """Returns the processor time of one request, by process."""
        return {name: per_request(time, len(self.measured.latencies)) for name, time in self.spent.items()}

    @property
    def server_times(self) -> list[Time]:
        """Returns what the servers had, without what is counted apart."""
        return [time for name, time in self.spent.items() if name not in APART]

    @property
    def server_microseconds(self) -> float:
        """Returns the processor time of one request in all servers."""
        return per_request(sum(self.server_times, Time()), len(self.measured.latencies))


def per_request(time: Time, requests: int) -> float:
    """Returns microseconds of processor time for each request."""
    return time.running_ns / 1000 / max(1, requests)


async def measured_cost(
    meter: Meter, host: str, next_request: Callable[[], bytes], *, connections: int, seconds: float
) -> Cost:
    """Sends requests for a while, as `load` does, and reads what that cost."""
    before = await asyncio.to_thread(meter.read)
    measured = await load(host, next_request, connections=connections, seconds=seconds)
    return Cost(measured, spent(before, await asyncio.to_thread(meter.read)))


def cost_rows(what: str, rounds: Sequence[Mapping[str, float]]) -> list[Row]:
    """Returns a row for each process: the median of its microseconds over the rounds, and the least."""
    names = dict.fromkeys(name for each in rounds for name in each)
    rows = []
    for name in sorted(names, key=lambda name: (name in APART, name == SERVER, name)):
        found = [each.get(name, 0.0) for each in rounds]
        rows.append(
            Row(name=f"{what}: {name}, {CPU}", measured=median(found), best=min(found), better="lower")
        )
    return rows
