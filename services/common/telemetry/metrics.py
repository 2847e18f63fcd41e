"""Metrics: each is defined once, with the closed set of its labels, and its children are bound before they are used.

A label never has a value that customers choose or that grows with use: no account, key, job or address.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
"""Everything that this process tells."""

PREFIX = "reelgate_"
BILLING, JOBS_API, JOBS_WORKER = "billing", "jobs-api", "jobs-worker"
WEBHOOKS_API, WEBHOOKS_DISPATCHER = "webhooks-api", "webhooks-dispatcher"
ALL = (BILLING, JOBS_API, JOBS_WORKER, WEBHOOKS_API, WEBHOOKS_DISPATCHER)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Bounds of the buckets for what a caller waits for."""
LONG_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 14_400)
"""Bounds of the buckets for what goes on behind a caller's back."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a metric is. Its labels are all that it has, apart from the bounds of a histogram."""

    name: str
    kind: str
    """counter, gauge or histogram."""
    labels: tuple[str, ...]
    meaning: str
    processes: tuple[str, ...]
    """Those that export it."""


DEFINITIONS: dict[str, Definition] = {}
"""By name: those of the modules that this process has loaded."""


def counter(name: str, meaning: str, *, labels: Sequence[str] = (), of: Sequence[str] = ALL) -> Counter:
    """Defines what only grows. Its name ends in `_total`."""
    defined = define(name, "counter", meaning, labels=labels, of=of)
    return Counter(defined.name, meaning, defined.labels, registry=REGISTRY)


def gauge(name: str, meaning: str, *, labels: Sequence[str] = (), of: Sequence[str] = ALL) -> Gauge:
    """Defines what goes up and down."""
    defined = define(name, "gauge", meaning, labels=labels, of=of)
    return Gauge(defined.name, meaning, defined.labels, registry=REGISTRY)


def histogram(
    name: str,
    meaning: str,
    *,
    labels: Sequence[str] = (),
    bounds: Sequence[float] = SECONDS,
    of: Sequence[str] = ALL,
) -> Histogram:
    """Defines what is counted by its size."""
    defined = define(name, "histogram", meaning, labels=labels, of=of)
    return Histogram(defined.name, meaning, defined.labels, buckets=bounds, registry=REGISTRY)


def define(
    name: str, kind: str, meaning: str, *, labels: Sequence[str] = (), of: Sequence[str] = ALL
) -> Definition:
    """Notes a metric that a collector of its own exports. Names are defined once."""
    assert name.startswith(PREFIX), name
    assert name not in DEFINITIONS, f"{name} is defined twice"
    assert name.endswith("_total") == (kind == "counter"), name
    found = Definition(name=name, kind=kind, labels=tuple(labels), meaning=meaning, processes=tuple(of))
    DEFINITIONS[name] = found
    return found
