"""Pools of database connections: what the pools count themselves, read when Prometheus asks."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from services.common.telemetry.metrics import REGISTRY, define

_CONNECTIONS = define(
    "reelgate_pool_connections",
    "gauge",
    "Open database connections, `used` or `idle`.",
    labels=("pool", "state"),
)
_WAITING = define("reelgate_pool_waiting", "gauge", "Who waits for a connection now.", labels=("pool",))
_COUNTS = {
    "requests_num": define(
        "reelgate_pool_requests_total", "counter", "Connections that were asked for.", labels=("pool",)
    ),
    "requests_queued": define(
        "reelgate_pool_waits_total", "counter", "Those that had to be waited for.", labels=("pool",)
    ),
    "requests_errors": define(
        "reelgate_pool_timeouts_total", "counter", "Those that were waited for in vain.", labels=("pool",)
    ),
    "requests_wait_ms": define(
        "reelgate_pool_wait_seconds_total",
        "counter",
        "Seconds that were waited for connections.",
        labels=("pool",),
    ),
}
"""By their names in psycopg_pool."""


class _Pool(Protocol):
    name: str

    def get_stats(self) -> Mapping[str, int]: ...


_pools: list[_Pool] = []


@contextmanager
def pool_measured(pool: _Pool) -> Iterator[None]:
    """Tells of a pool until the block ends. Pools of one name are told of as one."""
    _pools.append(pool)
    try:
        yield
    finally:
        _pools.remove(pool)


class _Pools(Collector):
    @override
    def collect(self) -> Iterable[Metric]:
        stats: dict[str, Counter[str]] = {}
        for pool in _pools:
            stats.setdefault(pool.name, Counter()).update(pool.get_stats())
        connections = GaugeMetricFamily(_CONNECTIONS.name, _CONNECTIONS.meaning, labels=_CONNECTIONS.labels)
        waiting = GaugeMetricFamily(_WAITING.name, _WAITING.meaning, labels=_WAITING.labels)
        for name, found in stats.items():
            connections.add_metric((name, "idle"), found["pool_available"])
            connections.add_metric((name, "used"), found["pool_size"] - found["pool_available"])
            waiting.add_metric((name,), found["requests_waiting"])
        yield from (connections, waiting)
        for stat, defined in _COUNTS.items():
            counted = CounterMetricFamily(defined.name, defined.meaning, labels=defined.labels)
            for name, found in stats.items():
                counted.add_metric((name,), found[stat] / 1000 if stat.endswith("_ms") else found[stat])
            yield counted


REGISTRY.register(_Pools())
