"""The pages of the site: each file is an answer of the edge itself, with its headers, and Envoy keeps it in memory.

Such an answer is copied whole for whoever asks, before any of it is read. So Envoy asks itself for it, through a cluster
with a limit, and hands on a buffer at a time.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from services.common.site import MANIFEST
from services.edge.extension import Config, header, named, switched, typed
from services.edge.floods import MEASURED
from services.edge.routes import CUSTOMER_HEADERS
from services.edge.tracing import NEVER_TRACED
from services.edge.transcoding import TRANSCODER

READS: Final[Config] = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
TAKES_GZIP: Final[Config] = {
    "name": "accept-encoding",
    "string_match": {"safe_regex": {"regex": r"(.*,)?\s*gzip\s*(;\s*q=(1(\.0*)?|0\.0*[1-9]\d*)\s*)?(,.*)?"}},
}
ALONE: Final = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
POLICIES: Final = {
    "page": f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; {ALONE}",
    # The reference writes styles into itself, and asks the API.
    "reference": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    f"font-src 'self' data:; media-src 'self'; connect-src 'self'; {ALONE}",
}
FOREVER: Final = "public, max-age=31536000, immutable"
FOR_A_MINUTE: Final = "public, max-age=60"
PAGES: Final = "pages"
BUFFER_BYTES: Final = 64 * 1024
ANSWERS_MAX: Final = 64
"""Answers at once, however slowly they are read. As many may wait, and more are refused. Envoy keeps a copy of what is
left of each."""
ANSWER_SECONDS: Final = 60
UNUSED_SECONDS: Final = 30


def page_routes(site: Path | None) -> list[Config]:
    """Returns the routes of the pages of the site in this folder, none without one. They lead to `pages_listener`."""
    if site is None:
        return []
    served = {each["path"]: each["type"] for each in _served(site)}
    return [
        route
        for path, kind in served.items()
        for route in _page_routes(path, is_page=kind.startswith("text/html"))
    ]


def _page_routes(path: str, *, is_page: bool) -> Iterable[Config]:
    match = {"path": path, "headers": [READS]}
    action = {"cluster": PAGES, "timeout": f"{ANSWER_SECONDS}s"}
    route = {
        "name": f"GET {path}",
        "match": match,
        "route": action,
        "request_headers_to_remove": list(CUSTOMER_HEADERS),
        "tracing": NEVER_TRACED,
        "typed_per_filter_config": {name: switched(on=False) for name in (MEASURED, TRANSCODER)},
    }
    yield route
    if is_page and path != "/":
        yield {**route, "match": {**match, "path": f"{path}/"}, "route": {**action, "prefix_rewrite": path}}


def pages_clusters(site: Path | None) -> list[Config]:
    """Returns the way to `pages_listener`, which bounds what is under way there: nobody there can wait for slow readers."""
    if site is None:
        return []
    endpoint = {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": PAGES}}}}
    names = ("max_connections", "max_pending_requests", "max_requests")
    cluster = {
        "name": PAGES,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "circuit_breakers": {"thresholds": [dict.fromkeys(names, ANSWERS_MAX)]},
        "load_assignment": {"cluster_name": PAGES, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "extensions.upstreams.http.v3.HttpProtocolOptions",
                common_http_protocol_options={"idle_timeout": f"{UNUSED_SECONDS}s"},
                explicit_http_config={"http_protocol_options": {}},
            )
        },
    }
    return [cluster]


def pages_listeners(site: Path | None) -> list[Config]:
    """Returns the listener that answers with the files of the site. Only this Envoy can reach it."""
    if site is None:
        return []
    routes = [route for each in _served(site) for route in _routes(site.absolute(), each)]
    host = {
        "name": PAGES,
        "domains": ["*"],
        "routes": routes,
        "response_headers_to_add": _common_headers(),
        # Envoy names one whenever the status begins with 3.
        "response_headers_to_remove": ["location"],
    }
    sizes = [file.stat().st_size for file in site.rglob("*") if file.is_file()]
    manager = named(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=PAGES,
        codec_type="HTTP1",
        server_header_transformation="PASS_THROUGH",
        generate_request_id=False,
        route_config={
            "name": PAGES,
            "virtual_hosts": [host],
            "max_direct_response_body_size_bytes": max(sizes),
        },
        http_filters=[named("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")],
    )
    return [
        {
            "name": PAGES,
            "internal_listener": {},
            "ignore_global_conn_limit": True,
            "filter_chains": [{"filters": [manager]}],
        }
    ]


def pages_bootstrap(site: Path | None) -> Config:
    """Returns what the whole configuration says besides, so that Envoy can call itself."""
    if site is None:
        return {}
    kind = "extensions.bootstrap.internal_listener.v3.InternalListener"
    return {"bootstrap_extensions": [named("envoy.bootstrap.internal_listener", kind)]}


def _served(site: Path) -> list[Mapping[str, Any]]:
    served: list[Mapping[str, Any]] = json.loads((site / MANIFEST).read_text(encoding="utf-8"))["files"]
    # What asks for a type stands before what is for everybody else.
    return sorted(served, key=lambda each: each["accept"] is None)


def _routes(site: Path, served: Mapping[str, Any]) -> Iterable[Config]:
    known = {"name": "if-none-match", "string_match": {"contains": f'"{served["tag"]}"'}}
    yield _route(served, {"status": 304}, when=[known])
    if served["packed"] not in {None, served["file"]}:
        yield _route(served, _file(site / served["packed"]), when=[TAKES_GZIP], packed=True)
    # Whoever does not say what they can unpack takes anything.
    yield _route(served, _file(site / served["file"]), packed=served["packed"] == served["file"])


def _route(
    served: Mapping[str, Any], answer: Config, *, when: Iterable[Config] = (), packed: bool = False
) -> Config:
    packing = [header("content-encoding", "gzip")] if packed else []
    return {
        "match": {"path": served["path"], "headers": [*_accepting(served), *when]},
        "direct_response": answer,
        "response_headers_to_add": [*_headers(served), *packing],
    }


def _accepting(served: Mapping[str, Any]) -> list[Config]:
    if served["accept"] is None:
        return []
    return [{"name": "accept", "string_match": {"contains": served["accept"]}}]


def _headers(served: Mapping[str, Any]) -> list[Config]:
    # Weak: packed or not, it is the same.
    headers = {"content-type": served["type"], "etag": f'W/"{served["tag"]}"'}
    if served["immutable"]:
        headers["cache-control"] = FOREVER
    if served["policy"] != "page":
        headers["content-security-policy"] = POLICIES[served["policy"]]
    return [header(name, value) for name, value in headers.items()]


def _common_headers() -> list[Config]:
    """Returns what every page has unless its route says otherwise. Envoy keeps each header of each route in memory."""
    headers = {
        "cache-control": FOR_A_MINUTE,
        "content-security-policy": POLICIES["page"],
        "referrer-policy": "no-referrer",
        "vary": "accept, accept-encoding",
        "x-content-type-options": "nosniff",
    }
    return [{**header(name, value), "append_action": "ADD_IF_ABSENT"} for name, value in headers.items()]


def _file(path: Path) -> Config:
    return {"status": 200, "body": {"filename": str(path)}}
