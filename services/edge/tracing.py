"""Which requests are traced, decided here and nowhere else, and what the edge says about them."""

from typing import Final

from services.edge.extension import Config, named, socket_address, typed
from services.edge.settings import EdgeSettings

COLLECTOR: Final = "otlp"
TRACE_HEADERS: Final = ("traceparent", "tracestate", "baggage", "x-client-trace-id", "x-envoy-force-trace")
"""With these a client could choose what is traced, and name our traces."""
NEVER_TRACED: Final[Config] = {
    f"{which}_sampling": {"numerator": 0} for which in ("client", "random", "overall")
}
"""What a route says whose address is a secret, or that does nothing worth a trace."""
UNTOLD: Final = (
    "downstream_cluster", "grpc.message", "guid:x-client-trace-id", "http.url", "peer.address", "user_agent",
)  # fmt: skip
"""Attributes that Envoy takes from the request and its sender, and from refusals, which quote the request."""
SEND_SECONDS_MAX: Final = 5


def traced(settings: EdgeSettings) -> Config:
    """Returns what the connection manager has of tracing: nothing without a collector."""
    if not settings.otlp_endpoint:
        return {}
    return {
        "tracing": {
            "provider": _provider(),
            "client_sampling": {"value": 0},
            "random_sampling": {"value": settings.traced_percent},
            "overall_sampling": {"value": 100},
            "spawn_upstream_span": True,
            "operation": "%ROUTE_NAME%",
            "upstream_operation": "%ROUTE_NAME%",
            "max_path_tag_length": 0,
            "custom_tags": [{"tag": name, "literal": {"value": "-"}} for name in UNTOLD],
        },
        # An id says nothing about whether its request is traced.
        "request_id_extension": {
            "typed_config": typed(
                "extensions.request_id.uuid.v3.UuidRequestIdConfig", pack_trace_reason=False
            )
        },
    }


def collector_clusters(endpoint: str) -> list[Config]:
    """Returns the upstream that takes spans, if there is one, `http://host:port`."""
    if not endpoint:
        return []
    address = socket_address(endpoint.removeprefix("http://"))
    return [
        {
            "name": COLLECTOR,
            "connect_timeout": "1s",
            "cluster_type": named(
                "envoy.cluster.dns", "extensions.clusters.dns.v3.DnsCluster", dns_lookup_family="V4_PREFERRED"
            ),
            "load_assignment": {
                "cluster_name": COLLECTOR,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                    "extensions.upstreams.http.v3.HttpProtocolOptions",
                    explicit_http_config={"http2_protocol_options": {}},
                )
            },
        }
    ]


def _provider() -> Config:
    return named(
        "envoy.tracers.opentelemetry",
        "config.trace.v3.OpenTelemetryConfig",
        grpc_service={"envoy_grpc": {"cluster_name": COLLECTOR}, "timeout": f"{SEND_SECONDS_MAX}s"},
        service_name="edge",
    )
