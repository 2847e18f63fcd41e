"""Envoy's own metrics: those that dashboards use, at an address where there is nothing else."""

from dataclasses import dataclass
from typing import Final

from services.edge.extension import Config, named, socket_address

PATH: Final = "/metrics"
CLUSTER: Final = "admin"
_ADMIN_PATH: Final = "/stats/prometheus?usedonly"
_TIMEOUT: Final = "5s"
REQUESTS_MAX: Final = 4
CONNECTIONS_MAX: Final = 8
"""At once; more are closed."""
EDGE: Final = "envoy_http_conn_manager_prefix"
SERVED: Final = "envoy_cluster_name"
_CLASS: Final = "envoy_response_code_class"


@dataclass(frozen=True, kw_only=True)
class EnvoyMetric:
    """A metric of Envoy's. It is exported once it was used."""

    name: str
    kind: str
    """counter, gauge or histogram."""
    labels: tuple[str, ...]
    meaning: str
    stats: str
    """Which statistics of Envoy's it comes from, as a regular expression."""


def _http(name: str, kind: str, meaning: str) -> EnvoyMetric:
    return EnvoyMetric(
        name=f"envoy_http_{name}", kind=kind, labels=(EDGE,), meaning=meaning, stats=rf"http\.edge\.{name}"
    )


def _cluster(name: str, kind: str, meaning: str) -> EnvoyMetric:
    return EnvoyMetric(
        name=f"envoy_cluster_{name}",
        kind=kind,
        labels=(SERVED,),
        meaning=meaning,
        stats=rf"cluster\.(jobs|billing|webhooks|media)\.{name}",
    )


def _listener(name: str, meaning: str) -> EnvoyMetric:
    return EnvoyMetric(
        name=f"envoy_listener_{name}",
        kind="counter",
        labels=("envoy_listener_address",),
        meaning=meaning,
        stats=rf"listener\.[^a].*\.{name}",  # but not that of Envoy's own pages
    )


def _server(name: str, kind: str, meaning: str) -> EnvoyMetric:
    return EnvoyMetric(
        name=f"envoy_server_{name}", kind=kind, labels=(), meaning=meaning, stats=rf"server\.{name}"
    )


METRICS: Final = (
    EnvoyMetric(
        name="envoy_http_downstream_rq_xx",
        kind="counter",
        labels=(EDGE, _CLASS),
        meaning="Requests of customers, by the class of what they were answered: 2, 3, 4 or 5.",
        stats=r"http\.edge\.downstream_rq_[1-5]xx",
    ),
    _http(
        "downstream_rq_time",
        "histogram",
        "Milliseconds that requests of customers took, waits and streams included.",
    ),
    _http("downstream_rq_active", "gauge", "Requests of customers that are open."),
    _http("downstream_cx_active", "gauge", "Connections of customers."),
    _http(
        "downstream_rq_overload_close",
        "counter",
        "Requests that were refused because Envoy had no memory left.",
    ),
    EnvoyMetric(
        name="envoy_cluster_upstream_rq_xx",
        kind="counter",
        labels=(SERVED, _CLASS),
        meaning="Requests to a service, by the class of its answer; one that failed over gRPC is 2.",
        stats=r"cluster\.(jobs|billing|webhooks|media)\.upstream_rq_[1-5]xx",
    ),
    _cluster("upstream_rq_time", "histogram", "Milliseconds that requests to a service took."),
    _cluster("upstream_rq_timeout", "counter", "Requests that a service did not answer in time."),
    _cluster("upstream_rq_retry", "counter", "Requests that were sent again, to another process."),
    _cluster(
        "upstream_rq_pending_overflow", "counter", "Requests that were refused because too many were open."
    ),
    _cluster("upstream_cx_connect_fail", "counter", "Connections to a service that could not be made."),
    _cluster("membership_healthy", "gauge", "Processes of a service that answer their probes."),
    _cluster("membership_total", "gauge", "Processes of a service that its name leads to."),
    _listener(
        "downstream_cx_overload_reject", "Connections that were refused because Envoy had no memory left."
    ),
    _listener("downstream_global_cx_overflow", "Connections that were refused because there were too many."),
    _server("days_until_first_cert_expiring", "gauge", "Whole days until the edge's certificate ends."),
    _server("memory_allocated", "gauge", "Bytes in use."),
    _server("uptime", "gauge", "Seconds since Envoy began."),
)
_KEPT: Final = (
    # Who drains an edge waits until there are none.
    r"http\.edge\.downstream_rq_active",
    # Says that a new certificate could not be used.
    r".*sds\..*\.(update_rejected|key_rotation_failed)",
)


def stats_config() -> Config:
    """Returns which statistics Envoy keeps at all: a thousand series less than it would."""
    patterns = [*(metric.stats for metric in METRICS), *_KEPT]
    matchers = [{"safe_regex": {"regex": pattern}} for pattern in dict.fromkeys(patterns)]
    return {"stats_matcher": {"inclusion_list": {"patterns": matchers}}}


def metrics_listener(address: str) -> Config:
    """Returns the listener that answers `GET /metrics` without a query, and nothing else."""
    manager = named(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="metrics",
        codec_type="HTTP1",
        route_config={"name": "metrics", "virtual_hosts": [_host()]},
        http_filters=[named("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")],
        request_headers_timeout=_TIMEOUT,
        request_timeout=_TIMEOUT,
        stream_idle_timeout=_TIMEOUT,
        max_request_headers_kb=8,
        common_http_protocol_options={"idle_timeout": "30s", "max_connection_duration": "300s"},
    )
    connections = named(
        "envoy.filters.network.connection_limit",
        "extensions.filters.network.connection_limit.v3.ConnectionLimit",
        stat_prefix="metrics",
        max_connections=CONNECTIONS_MAX,
    )
    return {
        "name": "metrics",
        "address": socket_address(address),
        # Whoever watches must see an edge that takes no more connections.
        "ignore_global_conn_limit": True,
        "filter_chains": [{"filters": [connections, manager]}],
    }


def metrics_cluster(admin_address: str) -> Config:
    """Returns Envoy's own pages as a cluster. Only the route of `metrics_listener` leads there."""
    endpoint = {"endpoint": {"address": socket_address(admin_address)}}
    limits = {
        "max_connections": REQUESTS_MAX,
        "max_pending_requests": REQUESTS_MAX,
        "max_requests": REQUESTS_MAX,
    }
    return {
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _host() -> Config:
    get = {"name": ":method", "string_match": {"exact": "GET"}}
    # With its query, which would choose what is told.
    whole_path = {"name": ":path", "string_match": {"exact": PATH}}
    scrape = {
        "name": "metrics",
        "match": {"path": PATH, "headers": [get, whole_path]},
        "route": {"cluster": CLUSTER, "prefix_rewrite": _ADMIN_PATH, "timeout": _TIMEOUT},
    }
    nothing = {"name": "none", "match": {"prefix": "/"}, "direct_response": {"status": 404}}
    return {"name": "metrics", "domains": ["*"], "routes": [scrape, nothing]}
