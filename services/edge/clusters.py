from collections.abc import Sequence
from typing import Final

from services.edge.extension import Config, named, socket_address, typed

CONCURRENT_REQUESTS_MAX: Final = 16_384
"""Most of them only wait: a jobs process keeps 4,000 such."""
CREATIONS_PRIORITY: Final = "HIGH"
"""Envoy knows two kinds of requests, and gives each its own connections and limits. It prefers neither."""
RETRIES_AT_ONCE_MIN: Final = 100
"""Also where they are more than a fifth of all requests: when a process dies, all that it had go to another at once."""
WINDOW_BYTES: Final = 65_536
CONNECTION_WINDOW_BYTES: Final = 1_048_576


def cluster(name: str, targets: Sequence[str], *, creations_max: int) -> Config:
    """Returns a gRPC upstream whose endpoints are all addresses that the targets resolve to.

    Creations, which routes send with CREATIONS_PRIORITY, have a limit of their own, so that a flood of them leaves polls
    their way.
    """
    endpoints = [{"endpoint": {"address": socket_address(target)}} for target in targets]
    return {
        "name": name,
        "connect_timeout": "1s",
        "cluster_type": named(
            "envoy.cluster.dns",
            "extensions.clusters.dns.v3.DnsCluster",
            dns_lookup_family="V4_PREFERRED",
            dns_refresh_rate="5s",
            respect_dns_ttl=False,
        ),
        "lb_policy": "LEAST_REQUEST",
        "ignore_health_on_host_removal": True,
        # Else what changes is known to threads that choose a process up to a second later: new ones, and dead ones.
        "common_lb_config": {"update_merge_window": "0s"},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "circuit_breakers": {"thresholds": [_limits(), _limits_of_creations(creations_max)]},
        "health_checks": [_health_check()],
        "outlier_detection": _outlier_detection(),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _http2()
        },
    }


def _limits() -> Config:
    return {
        "max_connections": 1024,
        "max_pending_requests": CONCURRENT_REQUESTS_MAX,
        "max_requests": CONCURRENT_REQUESTS_MAX,
        "retry_budget": {"budget_percent": {"value": 20.0}, "min_retry_concurrency": RETRIES_AT_ONCE_MIN},
    }


def _limits_of_creations(most: int) -> Config:
    return {
        **_limits(),
        "priority": CREATIONS_PRIORITY,
        "max_pending_requests": most,
        "max_requests": most,
    }


def _health_check() -> Config:
    return {
        "grpc_health_check": {},
        "timeout": "1s",
        "interval": "2s",
        "interval_jitter": "0.5s",
        "unhealthy_interval": "0.5s",
        "no_traffic_interval": "0.5s",
        "no_traffic_healthy_interval": "2s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
    }


def _outlier_detection() -> Config:
    # Only an unreachable process is ejected: an error it answers may be the fault of another.
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 5,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_success_rate": 0,
        "interval": "5s",
        "base_ejection_time": "5s",
        "max_ejection_percent": 50,
    }


def _http2() -> Config:
    options = {
        "initial_stream_window_size": WINDOW_BYTES,
        "initial_connection_window_size": CONNECTION_WINDOW_BYTES,
        "connection_keepalive": {"interval": "30s", "timeout": "5s"},
    }
    return typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        # New processes get their share of traffic because old connections end.
        common_http_protocol_options={"idle_timeout": "300s", "max_connection_duration": "600s"},
        explicit_http_config={"http2_protocol_options": options},
    )
