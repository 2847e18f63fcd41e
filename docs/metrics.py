"""The page of all metrics, docs/metrics.md, from where they are defined."""

from collections.abc import Mapping
from importlib import import_module

from services.common.telemetry.metrics import DEFINITIONS, Definition
from services.edge.metrics import METRICS

PROCESSES = (
    "services.common.process",
    "services.billing.wiring",
    "services.jobs.wiring.process",
    "services.jobs.wiring.worker",
    "services.webhooks.wiring",
)
"""What loads every module that defines a metric."""
HEAD = """# Metrics

Every process answers `GET /metrics` at its `METRICS_ADDRESS`, in Prometheus' text format, and nothing else there. No
label has a value that customers choose or that grows with use: there is no account, key, job or address in them.

Of what is read from the database (queues, jobs by state, the schema) every replica of a service says the same: take `max`
over the replicas. All other counters and histograms are of one process: take `sum` of their rates.

Where to read them is in [operating](operating.md#metrics-traces-and-logs) and, on Kubernetes, in [running
Reelgate](operate.md#metrics-logs-and-traces). [Traces and logs](telemetry.md) have a page of their own.

| metric | type | labels | told by | what it says |
|---|---|---|---|---|
"""
EDGE_HEAD = """
## The edge

The edge answers at `EDGE_METRICS_ADDRESS` with these of Envoy's own metrics, each once it was used. Envoy keeps no others.
Its times are in milliseconds.

| metric | type | labels | told by | what it says |
|---|---|---|---|---|
"""


def exported() -> Mapping[str, Definition]:
    """Returns every metric that a process in Python exports, by name."""
    for module in PROCESSES:
        import_module(module)
    return dict(sorted(DEFINITIONS.items()))


def everything() -> Mapping[str, frozenset[str]]:
    """Returns the labels of every metric that is exported, Envoy's at the edge included, by name."""
    ours = {name: frozenset(defined.labels) for name, defined in exported().items()}
    return ours | {metric.name: frozenset(metric.labels) for metric in METRICS}


def metrics_page() -> str:
    """Returns the page of all metrics."""
    rows = (
        f"| `{name}` | {defined.kind} | {_listed(defined.labels)} | {_processes(defined)} | {defined.meaning} |\n"
        for name, defined in exported().items()
    )
    envoy = (
        f"| `{metric.name}` | {metric.kind} | {_listed(metric.labels)} | edge | {metric.meaning} |\n"
        for metric in METRICS
    )
    return HEAD + "".join(rows) + EDGE_HEAD + "".join(envoy)


def _listed(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels) or "none"


def _processes(defined: Definition) -> str:
    return ", ".join(defined.processes)
