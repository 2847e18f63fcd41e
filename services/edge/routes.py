import re
from collections.abc import Iterable
from typing import Final

from services.common.rpc.durations import ANSWER_SECONDS_MAX, WAIT_SECONDS_MAX
from services.edge.clusters import CREATIONS_PRIORITY
from services.edge.descriptor import Endpoint
from services.edge.extension import Config, header, named, switched
from services.edge.floods import CREATIONS, MEASURED
from services.edge.strict import switched_on
from services.edge.tracing import NEVER_TRACED
from services.edge.trailing import copying
from services.edge.transcoding import TRANSCODER

PROTOCOL_HEADER: Final = "x-edge-protocol"
"""Where routes see which HTTP a request came in. Services do not."""
CALLBACKS: Final = "/callbacks/"
CUSTOMER_HEADERS: Final = ("authorization", "cookie", "idempotency-key", "x-api-key")
NEVER_PROCESSED: Final = "connect-failure,refused-stream,reset-before-request"
"""Failures after which no service has seen the request."""
HOST_CHOICES_MAX: Final = 32
"""How often a retry draws a process by lot until it has another one. Of two, 3 draws miss the other about once in 16."""
ARRIVAL_SECONDS: Final = 30
"""How long a request may take to arrive, but for uploads."""
READ_SECONDS: Final = 9
WRITE_SECONDS: Final = ANSWER_SECONDS_MAX
"""How long a service may take to answer. The edge itself waits one second longer."""
WAIT: Final = "wait"
WAIT_SECONDS: Final = WAIT_SECONDS_MAX
"""The same, where the query asks it to wait, for 60 s at the most."""
STREAM_SECONDS: Final = 20 * 60
"""Services end a stream before."""
SILENCE_SECONDS: Final = 45
"""What may pass between two parts of a stream: services say something every 15 s."""


def lasting(seconds: int) -> Config:
    """Returns what ends a request that takes longer to arrive than any but uploads may, and these seconds to be answered."""
    return {"max_stream_duration": {"max_stream_duration": f"{ARRIVAL_SECONDS + seconds}s"}}


def front_routes() -> list[Config]:
    """Returns the routes before all others: the probe, which speaks HTTP/1.0 too, and what no other route may meet."""
    probe = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    old = {"name": PROTOCOL_HEADER, "string_match": {"exact": "HTTP/1.0"}}
    return [
        _reply("GET /healthz", {"path": "/healthz", "headers": [probe]}, 200, "ok\n"),
        # No other route would match it, and it would wait for the end of a body that has none.
        _reply("CONNECT", {"connect_matcher": {}}, 404, ""),
        _reply("HTTP/1.0", {"prefix": "/", "headers": [old]}, 426, ""),
    ]


def api_routes(endpoints: Iterable[Endpoint]) -> list[Config]:
    """Returns the routes of exactly these endpoints."""
    return [_body_of_read(), *(route for endpoint in endpoints for route in _endpoint_routes(endpoint))]


def unknown_route() -> Config:
    """Returns the route of what no other one has: 404."""
    return _reply("none", {"prefix": "/"}, 404, "")


def grpc_routes(endpoints: Iterable[Endpoint]) -> list[Config]:
    """Returns the routes of the same methods in gRPC, callbacks excepted, which providers send as JSON."""
    found = [_grpc_route(endpoint) for endpoint in endpoints if not endpoint.template.startswith(CALLBACKS)]
    none = {
        "name": "none",
        "match": {"prefix": "/"},
        "direct_response": {"status": 404},
        "tracing": NEVER_TRACED,
    }
    return [*found, none]


def _grpc_route(endpoint: Endpoint) -> Config:
    match = {"path": endpoint.method, "grpc": {}}
    if endpoint.streams:
        return {**_stream(endpoint, match), "name": endpoint.method}
    # Whether a call waits stands in its body, which no route sees.
    seconds = WRITE_SECONDS if endpoint.verb != "GET" else READ_SECONDS
    if WAIT in endpoint.query_names:
        seconds = WAIT_SECONDS
    return {**_forward(endpoint, match, seconds=seconds), "name": endpoint.method}


def _body_of_read() -> Config:
    # The transcoder would take fields from it. One of unknown length still cannot change what the path says.
    length = {"name": "content-length", "string_match": {"safe_regex": {"regex": "0*[1-9][0-9]*"}}}
    match = {"prefix": "/", "headers": [_method("GET"), length]}
    return _reply("GET with a body", match, 400, "A GET request takes no body.")


def _endpoint_routes(endpoint: Endpoint) -> list[Config]:
    match = {**_path(endpoint.template), "headers": [_method(endpoint.verb)]}
    strange = {**match, "headers": [*match["headers"], _other_query(endpoint.query_names)]}
    allowed = ", ".join(endpoint.query_names) or "none"
    return [
        _reply(_name(endpoint), strange, 400, f"Unknown query parameter. Allowed: {allowed}."),
        *_forwards(endpoint, match),
    ]


def _forwards(endpoint: Endpoint, match: Config) -> list[Config]:
    if endpoint.streams:
        return [_stream(endpoint, match)]
    usual = _forward(endpoint, match, seconds=READ_SECONDS if endpoint.verb == "GET" else WRITE_SECONDS)
    if endpoint.template.startswith(CALLBACKS):
        return [usual]
    if endpoint.has_json_body:
        own = usual.get("typed_per_filter_config", {})
        usual["typed_per_filter_config"] = {**own, **switched_on(endpoint)}
    if WAIT not in endpoint.query_names:
        return [copying(usual)]
    waiting = {**match, "query_parameters": [{"name": WAIT, "present_match": True}]}
    return [copying(_forward(endpoint, waiting, seconds=WAIT_SECONDS)), copying(usual)]


def _path(template: str) -> Config:
    if "{" not in template:
        return {"path": template}
    # No id of ours has a colon, and none needs percent-encoding.
    return {"safe_regex": {"regex": re.sub(r"\{\w+\}", "[^/:%]+", template)}}


def _method(verb: str) -> Config:
    return {"name": ":method", "string_match": {"exact": verb}}


def _other_query(names: Iterable[str]) -> Config:
    # Whatever else the transcoder is given, it takes for a field, and even over one of the path.
    allowed = "|".join(names)
    known = f"|({allowed})(=[^&]*)?(&|$)" if allowed else ""
    query = {"safe_regex": {"regex": rf"[^?]*(\?(&{known})*)?"}}
    return {"name": ":path", "string_match": query, "invert_match": True}


def _name(endpoint: Endpoint) -> str:
    # It stands in the access log in place of the path, which may hold a callback's token.
    return f"{endpoint.verb} {endpoint.template}"


def _reply(name: str, match: Config, status: int, text: str) -> Config:
    return {
        "name": name,
        "match": match,
        "direct_response": {"status": status, "body": {"inline_string": text}},
        "tracing": NEVER_TRACED,
        # A route that ignores the body does not wait for it.
        "typed_per_filter_config": {name: switched(on=False) for name in (MEASURED, TRANSCODER)},
    }


def _forward(endpoint: Endpoint, match: Config, *, seconds: int) -> Config:
    reads = endpoint.verb == "GET"
    route = {
        "name": _name(endpoint),
        "match": match,
        "request_headers_to_add": [header("grpc-timeout", f"{seconds}S")],
        "route": {
            "cluster": endpoint.cluster,
            "timeout": f"{seconds + 1}s",
            **lasting(seconds + 1),
            "retry_policy": _read_retries() if reads else write_retries(),
            **({"priority": CREATIONS_PRIORITY} if endpoint.creates else {}),
        },
    }
    if endpoint.creates:
        route["typed_per_filter_config"] = {CREATIONS: switched(on=True)}
    if endpoint.template.startswith(CALLBACKS):
        route["request_headers_to_remove"] = list(CUSTOMER_HEADERS)
        route["tracing"] = NEVER_TRACED
    return route


def _stream(endpoint: Endpoint, match: Config) -> Config:
    # It is tried again only until it has begun: Envoy repeats nothing of which an answer has left.
    return {
        "name": _name(endpoint),
        "match": match,
        "route": {
            "cluster": endpoint.cluster,
            "timeout": f"{STREAM_SECONDS}s",
            **lasting(STREAM_SECONDS),
            "idle_timeout": f"{SILENCE_SECONDS}s",
            "retry_policy": _read_retries(),
        },
    }


def _read_retries() -> Config:
    return {
        "retry_on": f"{NEVER_PROCESSED},reset,unavailable",
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        **_elsewhere(),
    }


def write_retries() -> Config:
    """Returns how what may have an effect is tried again: only if no process has seen it, and at another one."""
    return {"retry_on": NEVER_PROCESSED, "num_retries": 1, **_elsewhere()}


def _elsewhere() -> Config:
    # A process that is gone has no requests, and would be chosen first again.
    other_host = named(
        "envoy.retry_host_predicates.previous_hosts",
        "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
    )
    return {"retry_host_predicate": [other_host], "host_selection_retry_max_attempts": HOST_CHOICES_MAX}
