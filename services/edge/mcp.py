"""MCP at its path, for assistants: passed on as it comes to a process that calls the public services with the caller's key."""

from collections.abc import Sequence
from typing import Final

from services.edge.extension import Config, named, socket_address, switched, typed
from services.edge.routes import lasting, write_retries
from services.edge.tracing import NEVER_TRACED
from services.edge.transcoding import TRANSCODER

MCP: Final = "mcp"
PATH: Final = "/mcp"
ENVELOPE: Final = "envoy.filters.http.composite"
"""The filter that puts refusals into a contract's words. MCP has words of its own."""
ANSWER_SECONDS_MAX: Final = 52
"""No tool takes longer than 50 seconds."""
REQUESTS_MAX: Final = 512
"""Requests at once, most of which wait for a video; more are refused."""
UNUSED_SECONDS: Final = 30
"""When a connection without a request ends: before the other side ends it."""


def mcp_cluster(targets: Sequence[str]) -> Config:
    """Returns the upstream that speaks MCP over HTTP/1.1. It is not probed: it may start at the first request."""
    endpoints = [{"endpoint": {"address": socket_address(target)}} for target in targets]
    names = ("max_connections", "max_requests", "max_pending_requests")
    return {
        "name": MCP,
        "connect_timeout": "1s",
        "cluster_type": named(
            "envoy.cluster.dns", "extensions.clusters.dns.v3.DnsCluster", dns_lookup_family="V4_PREFERRED"
        ),
        "lb_policy": "LEAST_REQUEST",
        "per_connection_buffer_limit_bytes": 64 * 1024,
        "load_assignment": {"cluster_name": MCP, "endpoints": [{"lb_endpoints": endpoints}]},
        "circuit_breakers": {"thresholds": [dict.fromkeys(names, REQUESTS_MAX)]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "extensions.upstreams.http.v3.HttpProtocolOptions",
                common_http_protocol_options={"idle_timeout": f"{UNUSED_SECONDS}s"},
                explicit_http_config={"http_protocol_options": {}},
            )
        },
    }


def mcp_route() -> Config:
    """Returns the route. The limits of addresses hold as for everything else; how large a body may be, the process says."""
    return {
        "name": PATH,
        "match": {"path": PATH},
        "route": {
            "cluster": MCP,
            "timeout": f"{ANSWER_SECONDS_MAX}s",
            **lasting(ANSWER_SECONDS_MAX),
            "retry_policy": write_retries(),
        },
        "response_headers_to_remove": ["server"],
        "tracing": NEVER_TRACED,
        "typed_per_filter_config": {name: switched(on=False) for name in (TRANSCODER, ENVELOPE)},
    }
