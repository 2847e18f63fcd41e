import json
from typing import Final

import yaml

from services.edge.clusters import cluster
from services.edge.contract import SERVICES
from services.edge.extension import Config, named, socket_address
from services.edge.listener import listener
from services.edge.settings import EdgeSettings

CONNECTIONS_MAX: Final = 20_000
HEAP_BYTES_MAX: Final = 1024**3
HEAP: Final = "envoy.resource_monitors.fixed_heap"


def render(settings: EdgeSettings) -> Config:
    """Returns the whole configuration of Envoy; the same settings and contract give the same result."""
    targets = {
        "billing": settings.billing_targets,
        "jobs": settings.jobs_targets,
        "webhooks": settings.webhooks_targets,
    }
    return {
        "admin": {"address": socket_address(settings.admin_address)},
        "overload_manager": _overload_manager(),
        "static_resources": {
            "listeners": [listener(settings)],
            "clusters": [cluster(name, targets[name]) for name in SERVICES],
        },
    }


def as_yaml(config: Config) -> str:
    """Returns the text that Envoy reads, with sorted keys."""
    unshared = json.loads(json.dumps(config))  # PyYAML writes an alias for what stands twice
    text: str = yaml.dump(unshared, Dumper=yaml.CSafeDumper, sort_keys=True, allow_unicode=True, width=110)
    return text


def _overload_manager() -> Config:
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            named(
                HEAP,
                "extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=HEAP_BYTES_MAX,
            ),
            named(
                "envoy.resource_monitors.global_downstream_max_connections",
                "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=CONNECTIONS_MAX,
            ),
        ],
        "actions": [
            _at_heap(0.9, "shrink_heap"),
            _at_heap(0.95, "stop_accepting_requests"),
        ],
    }


def _at_heap(share: float, action: str) -> Config:
    trigger = {"name": HEAP, "threshold": {"value": share}}
    return {"name": f"envoy.overload_actions.{action}", "triggers": [trigger]}
