"""Media files below a path, fetched from who serves them, for stacks without a public bucket or CDN."""

from collections.abc import Sequence
from typing import Final

from services.edge.extension import Config, named, socket_address, switched, typed
from services.edge.floods import ADDRESS_BYTES, BODY_LIMIT, LARGE_BYTES, MEASURED
from services.edge.routes import CUSTOMER_HEADERS, NEVER_PROCESSED
from services.edge.tracing import NEVER_TRACED
from services.edge.transcoding import TRANSCODER

MEDIA: Final = "media"
NAME: Final = "[A-Za-z0-9_-]+"
"""Without dots neither the way up nor a hidden or half-written file can be named."""
DOWNLOADS_MAX: Final = 512
"""Downloads at once, however slowly they are read; more are refused. Each is a connection to the media server."""
UPLOADS_PRIORITY: Final = "HIGH"
"""Envoy knows two kinds of requests, and gives each its own connections and limits. It prefers neither."""
NOT_FOR_FILES: Final = (ADDRESS_BYTES, BODY_LIMIT, LARGE_BYTES, MEASURED, TRANSCODER)
UPLOAD_ANSWER_SECONDS: Final = 60
"""How long a file may be checked once it is there."""
UPLOAD_SECONDS: Final = 15 * 60
"""How long a file may take to arrive: 200 MB at 2 Mbit/s. Silence for as long as any stream may be silent ends it before."""
UPLOADS_MAX: Final = 128
"""Uploads at once, of all customers together; more are refused. Each keeps its place for as long as it takes."""
UNUSED_SECONDS: Final = 30
"""When a connection without a request ends: before the other side ends it."""


def media_cluster(targets: Sequence[str]) -> Config:
    """Returns the upstream that serves media over HTTP/1.1."""
    endpoints = [{"endpoint": {"address": socket_address(target)}} for target in targets]
    limits = {
        "max_connections": DOWNLOADS_MAX,
        "max_requests": DOWNLOADS_MAX,
        "max_pending_requests": DOWNLOADS_MAX,
    }
    return {
        "name": MEDIA,
        "connect_timeout": "1s",
        "cluster_type": named(
            "envoy.cluster.dns", "extensions.clusters.dns.v3.DnsCluster", dns_lookup_family="V4_PREFERRED"
        ),
        "per_connection_buffer_limit_bytes": 64 * 1024,
        "load_assignment": {"cluster_name": MEDIA, "endpoints": [{"lb_endpoints": endpoints}]},
        "circuit_breakers": {"thresholds": [limits, _limits_of_uploads()]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "extensions.upstreams.http.v3.HttpProtocolOptions",
                common_http_protocol_options={"idle_timeout": f"{UNUSED_SECONDS}s"},
                explicit_http_config={"http_protocol_options": {}},
            )
        },
    }


def _limits_of_uploads() -> Config:
    names = ("max_connections", "max_requests", "max_pending_requests")
    return {"priority": UPLOADS_PRIORITY, **dict.fromkeys(names, UPLOADS_MAX)}


def upload_route(path: str) -> Config:
    """Returns the route that takes files at signed addresses: streamed, for as long as a slow line needs."""
    puts = {"name": ":method", "string_match": {"exact": "PUT"}}
    return {
        "name": f"PUT {path}/uploads/*",
        "match": {"safe_regex": {"regex": rf"{path}/uploads/{NAME}\.[a-z0-9]+"}, "headers": [puts]},
        "route": {
            "cluster": MEDIA,
            "regex_rewrite": {"pattern": {"regex": f"^{path}/"}, "substitution": "/"},
            "timeout": f"{UPLOAD_ANSWER_SECONDS}s",
            "max_stream_duration": {"max_stream_duration": f"{UPLOAD_SECONDS + UPLOAD_ANSWER_SECONDS}s"},
            "priority": UPLOADS_PRIORITY,
        },
        "request_headers_to_remove": list(CUSTOMER_HEADERS),
        "response_headers_to_remove": ["server"],
        "tracing": NEVER_TRACED,
        # What keeps, counts or ends bodies, which would be JSON.
        "typed_per_filter_config": {name: switched(on=False) for name in NOT_FOR_FILES},
    }


def media_route(path: str) -> Config:
    """Returns the route of files that can be media of ours. Everything else below `path` is 404."""
    files = rf"{path}/({NAME}/)*{NAME}\.[a-z0-9]+"
    reads = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    return {
        "name": f"GET {path}/*",
        "match": {"safe_regex": {"regex": files}, "headers": [reads]},
        "route": {
            "cluster": MEDIA,
            "regex_rewrite": {"pattern": {"regex": f"^{path}/"}, "substitution": "/"},
            # A large file takes as long as its reader needs: only silence ends it.
            "timeout": "0s",
            "retry_policy": {"retry_on": f"{NEVER_PROCESSED},reset", "num_retries": 2},
        },
        # Files are served as they are, to everybody alike.
        "request_headers_to_remove": [*CUSTOMER_HEADERS, "accept-encoding"],
        "response_headers_to_remove": ["server"],
        "tracing": NEVER_TRACED,
        "typed_per_filter_config": {TRANSCODER: switched(on=False)},
    }
