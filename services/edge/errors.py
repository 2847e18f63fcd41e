"""The error envelope of the path's contract around every refusal: Envoy's own, and those that services send as metadata."""

from pathlib import Path
from typing import Final

from services.edge.extension import Config, named

LUA: Final = Path(__file__).with_name("envelope.lua")
Refusal = tuple[str, int, str, str]
RAW_TEXT: Final = "%LOCAL_REPLY_BODY%"
REFUSALS: Final[tuple[Refusal, ...]] = (
    ("EQ", 400, "invalid_request", RAW_TEXT),
    ("EQ", 404, "not_found", "There is no such endpoint. Check the method and the path."),
    ("EQ", 408, "invalid_request", "The request did not arrive in time."),
    ("EQ", 413, "request_too_large", "The request body must be at most 256 KiB."),
    ("EQ", 426, "invalid_request", "Use HTTP/1.1 or HTTP/2."),
    ("EQ", 429, "rate_limit_exceeded", "Too many or too large requests. Slow down."),
    ("EQ", 431, "invalid_request", "The request headers must be at most 8 KiB in at most 64 lines."),
    ("GE", 500, "internal_error", "Unexpected server error."),
    ("GE", 400, "invalid_request", "The request is not valid."),
)
"""How a status compares with what, code and message; the first that fits wins."""
TYPES: Final = {"internal_error": "api_error", "rate_limit_exceeded": "rate_limit_error"}
"""By code. Of all others it is `invalid_request_error`."""
NEXTAPI_PATH: Final = "/v1/video/generations([/?].*)?"
"""Where refusals have the envelope of the NextAPI contract, which has no type. envelope.lua knows it too."""


def local_replies() -> Config:
    """Returns the rewriting of Envoy's own refusals. Mappers only: a general format would rewrite successes too."""
    of_nextapi = {
        "or_filter": {"filters": [_on_nextapi(name) for name in (":path", "x-envoy-original-path")]}
    }
    return {
        "mappers": [
            *(_mapper(refusal, _envelope(refusal, typed=False), of_nextapi) for refusal in REFUSALS),
            *(_mapper(refusal, _envelope(refusal, typed=True)) for refusal in REFUSALS),
        ]
    }


def _on_nextapi(header_name: str) -> Config:
    path = {"name": header_name, "string_match": {"safe_regex": {"regex": NEXTAPI_PATH}}}
    return {"header_filter": {"header": path}}


def _envelope(refusal: Refusal, *, typed: bool) -> Config:
    _, _, code, message = refusal
    kind = TYPES.get(code, "invalid_request_error")
    return {"error": {"code": code, "message": message, **({"type": kind} if typed else {})}}


def _mapper(refusal: Refusal, envelope: Config, *conditions: Config) -> Config:
    comparison, status, _, _ = refusal
    value = {"default_value": status, "runtime_key": f"edge.refusal.{comparison.lower()}_{status}"}
    of_status = {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}
    # What cannot even be parsed never got an id; where there is one, Envoy puts it over this one.
    request_id = {"header": {"key": "x-request-id", "value": "%UNIQUE_ID%"}, "append_action": "ADD_IF_ABSENT"}
    return {
        "filter": {"and_filter": {"filters": [of_status, *conditions]}} if conditions else of_status,
        "headers_to_add": [request_id],
        "body_format_override": {"json_format": envelope},
    }


def envelope_filter() -> Config:
    """Returns the filter that runs envelope.lua over refusals; no other answer meets Lua."""
    lua = named(
        "envoy.filters.http.lua",
        "extensions.filters.http.lua.v3.Lua",
        default_source_code={"inline_string": LUA.read_text(encoding="utf-8")},
    )
    execute = named("envelope", "extensions.filters.http.composite.v3.ExecuteFilterAction", typed_config=lua)
    status_class = named("status_class", "type.matcher.v3.HttpResponseStatusCodeClassMatchInput")
    content_type = named(
        "content_type", "type.matcher.v3.HttpResponseHeaderMatchInput", header_name="content-type"
    )
    refusals = [
        _matches(status_class, exact="4xx"),
        _matches(status_class, exact="5xx"),
        # Who asks in gRPC is refused by Envoy in gRPC, with status 200.
        _matches(content_type, prefix="application/grpc"),
    ]
    matcher = {"predicate": {"or_matcher": {"predicate": refusals}}, "on_match": {"action": execute}}
    return named(
        "envoy.filters.http.composite",
        "extensions.filters.http.composite.v3.Composite",
        matcher={"matcher_list": {"matchers": [matcher]}},
    )


def _matches(value: Config, **match: str) -> Config:
    return {"single_predicate": {"input": value, "value_match": match}}
