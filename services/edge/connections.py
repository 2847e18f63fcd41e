"""How many connections one address may hold, and how many all addresses together."""

import base64
from pathlib import Path
from typing import Final

from services.edge.extension import Config, named, typed

MODULE: Final = Path(__file__).with_name("connections.wasm")
"""What connections.wat says."""
HEAP: Final = "envoy.resource_monitors.fixed_heap"
MIB: Final = 1024 * 1024
IDLE_SECONDS_MIN: Final = 1
UNUSED_MEMORY: Final[Config] = {"bytes_to_release": 8 * MIB, "memory_release_interval": "1s"}
"""What is given back to the system. Reading the configuration leaves half of what Envoy then holds unused."""


def limit_per_address(most: int) -> Config:
    """Returns the network filter that closes a connection whose address has `most` already, per worker thread."""
    code = {"inline_bytes": base64.b64encode(MODULE.read_bytes()).decode()}
    limit = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": str(most)}
    return named(
        "envoy.filters.network.wasm",
        "extensions.filters.network.wasm.v3.Wasm",
        config={
            "name": "connections",
            "vm_config": {
                "vm_id": "connections",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": code},
            },
            "configuration": limit,
            # If it ever fails, the edge continues without it: the limit on all connections still applies.
            "failure_policy": "FAIL_OPEN",
        },
    )


def overload_manager(*, connections_max: int, heap_mib: int) -> Config:
    """Returns what Envoy sheds before its memory ends: idle connections, then requests, then new connections."""
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            named(
                HEAP,
                "extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=heap_mib * MIB,
            ),
            named(
                "envoy.resource_monitors.global_downstream_max_connections",
                "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=connections_max,
            ),
        ],
        "actions": [
            _shorter_idle_times(),
            _at_heap(0.9, "shrink_heap"),
            _at_heap(0.9, "disable_http_keepalive"),
            _at_heap(0.95, "stop_accepting_requests"),
            _at_heap(0.98, "reject_incoming_connections"),
        ],
    }


def _shorter_idle_times() -> Config:
    timers = typed(
        "config.overload.v3.ScaleTimersOverloadActionConfig",
        timer_scale_factors=[
            {"timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": f"{IDLE_SECONDS_MIN}s"}
        ],
    )
    scaled = {"scaling_threshold": 0.8, "saturation_threshold": 0.95}
    return {
        "name": "envoy.overload_actions.reduce_timeouts",
        "triggers": [{"name": HEAP, "scaled": scaled}],
        "typed_config": timers,
    }


def _at_heap(share: float, action: str) -> Config:
    trigger = {"name": HEAP, "threshold": {"value": share}}
    return {"name": f"envoy.overload_actions.{action}", "triggers": [trigger]}
