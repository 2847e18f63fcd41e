from pathlib import Path
from typing import Final

from services.edge.browsers import preflight_routes
from services.edge.connections import limit_per_address
from services.edge.descriptor import Descriptor, read_descriptor
from services.edge.errors import local_replies
from services.edge.extension import Config, header, named, socket_address
from services.edge.filters import http_filters, removals
from services.edge.grpc import FORGED_HEADERS, grpc_manager
from services.edge.mcp import mcp_route
from services.edge.media import UPLOAD_SECONDS, media_route, upload_route
from services.edge.metrics import metrics_listener
from services.edge.pages import page_routes, pages_listeners
from services.edge.quiet import quiet_apart
from services.edge.routes import ARRIVAL_SECONDS, PROTOCOL_HEADER, api_routes, front_routes, unknown_route
from services.edge.settings import EdgeSettings
from services.edge.strict import CONTENT_TYPE
from services.edge.tls import secured
from services.edge.tracing import traced

BUFFER_BYTES: Final = 64 * 1024
PROXY_PROTOCOL_SECONDS: Final = 5
"""How long a balancer has to say whose a connection is."""
METHOD_LENGTH_MAX: Final = 7
"""Of what a client may write there, as the log shows it. All methods of ours are shorter."""


def listeners(settings: EdgeSettings, secret_file: Path) -> list[Config]:
    """Returns the public listeners, JSON over HTTP/1.1 and HTTP/2 and perhaps native gRPC, and those of pages and metrics."""
    descriptor = read_descriptor(settings.descriptor)
    json = _connection_manager(settings, _json_manager(settings, descriptor))
    chain = secured({"filters": json}, settings, secret_file, protocols=("h2", "http/1.1"))
    found = [_listener("edge", settings.listen_address, chain, settings)]
    if settings.grpc_address is not None:
        grpc = _connection_manager(settings, grpc_manager(settings, descriptor))
        chain = secured({"filters": grpc}, settings, secret_file, protocols=("h2",))
        found.append(_listener("grpc", settings.grpc_address, chain, settings))
    found += pages_listeners(settings.site_dir)
    if settings.metrics_address is not None:
        found.append(metrics_listener(settings.metrics_address))
    return found


def _listener(name: str, address: str, chain: Config, settings: EdgeSettings) -> Config:
    proxy_protocol = named(
        "envoy.filters.listener.proxy_protocol",
        "extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    )
    return {
        "name": name,
        "address": socket_address(address),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "listener_filters": [proxy_protocol] if settings.proxy_protocol else [],
        "listener_filters_timeout": f"{PROXY_PROTOCOL_SECONDS}s",
        "filter_chains": [chain],
    }


def _connection_manager(settings: EdgeSettings, own: Config) -> list[Config]:
    manager = named(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        **own,
        # Both listeners count as one: who drains waits for the requests of both.
        stat_prefix="edge",
        # Also replaces a client's x-request-id: an id in our logs is ours.
        use_remote_address=True,
        xff_num_trusted_hops=settings.trusted_hops,
        always_set_request_id_in_response=True,
        server_header_transformation="PASS_THROUGH",
        normalize_path=True,
        path_with_escaped_slashes_action="KEEP_UNCHANGED",
        access_log=[_access_log()] if settings.access_log else [],
        **traced(settings),
        **_limits(settings.idle_seconds),
    )
    connections_are_clients = settings.proxy_protocol or not settings.trusted_hops
    most = settings.connections_per_address if connections_are_clients else 0
    return [*([limit_per_address(most)] if most else ()), manager]


def _json_manager(settings: EdgeSettings, descriptor: Descriptor) -> Config:
    path = settings.media_path
    media = [upload_route(path), media_route(path)] if settings.media_targets else []
    mcp = [mcp_route()] if settings.mcp_targets else []
    api = quiet_apart(api_routes(descriptor.endpoints), settings)
    host = {
        "name": "edge",
        "domains": ["*"],
        # Envoy tries them one by one: pages are many, and stand behind what is called often.
        "routes": [
            *front_routes(),
            *media,
            *mcp,
            *api,
            *preflight_routes(settings.cors_origins),
            *page_routes(settings.site_dir),
            unknown_route(),
        ],
        "request_headers_to_remove": [CONTENT_TYPE, PROTOCOL_HEADER],
    }
    return {
        # Where files arrive, each other route has a limit of its own for the whole of a request.
        "request_timeout": f"{UPLOAD_SECONDS if settings.media_targets else ARRIVAL_SECONDS}s",
        "early_header_mutation_extensions": [_early_mutation()],
        "local_reply_config": local_replies(),
        "route_config": {"name": "edge", "virtual_hosts": [host]},
        "http_filters": http_filters(settings, descriptor),
    }


def _early_mutation() -> Config:
    said = {"append": header(CONTENT_TYPE, "%REQUEST_HEADER(content-type)%")}
    # Native gRPC would bypass the transcoder.
    as_json = {"append": header("content-type", "application/json")}
    protocol = {"append": header(PROTOCOL_HEADER, "%PROTOCOL%")}
    return named(
        "early",
        "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=[*removals({"exact": CONTENT_TYPE}, *FORGED_HEADERS), said, as_json, protocol],
    )


def _limits(idle_seconds: int) -> Config:
    return {
        "max_request_headers_kb": 8,
        "request_headers_timeout": "10s",
        # Longer than any answer may be waited for.
        "stream_idle_timeout": "70s",
        "common_http_protocol_options": {
            "idle_timeout": f"{idle_seconds}s",
            "max_connection_duration": "3600s",
            "max_headers_count": 64,
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "http_protocol_options": {
            # Probes of old balancers speak it. For all else there is a route that refuses it.
            "accept_http_10": True,
            "default_host_for_http_10": "edge",
            # Clients offer other protocols unasked. Whatever they offer, the request itself is answered.
            "ignore_http_11_upgrade": [{"safe_regex": {"regex": ".*"}}],
            # As in HTTP/2: an unknown method is not found.
            "allow_custom_methods": True,
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": BUFFER_BYTES,
            "initial_connection_window_size": 16 * BUFFER_BYTES,
        },
    }


def _access_log() -> Config:
    line = {
        "time": "%START_TIME%",
        "method": f"%REQUEST_HEADER(x-envoy-original-method?:method):{METHOD_LENGTH_MAX}%",
        "route": "%ROUTE_NAME%",
        "status": "%RESPONSE_CODE%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "duration_ms": "%DURATION%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "upstream": "%UPSTREAM_HOST%",
        "request_id": "%REQUEST_HEADER(x-request-id)%",
        "trace_id": "%TRACE_ID%",
    }
    return named(
        "stdout",
        "extensions.access_loggers.stream.v3.StdoutAccessLog",
        log_format={"json_format": line, "omit_empty_values": True},
    )
