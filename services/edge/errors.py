"""The error envelope of the customer's contract around every refusal: Envoy's own, and those that services send as metadata."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.edge.envelopes import of_nextapi
from services.edge.extension import Config, header, named
from services.edge.floods import CREATIONS_STATUS
from services.edge.malformed import MALFORMED, NO_ENDPOINT, UNREAD, Malformed, called

LUA: Final = Path(__file__).with_name("envelope.lua")
TOO_LARGE: Final = (
    "The request body must be at most 256 KiB. Send files with POST /v1/uploads, and name their addresses."
)
Refusal = tuple[str, int, str, str]
RAW_TEXT: Final = "%LOCAL_REPLY_BODY%"
REFUSALS: Final[tuple[Refusal, ...]] = (
    ("EQ", 400, "invalid_request", RAW_TEXT),
    ("EQ", 404, "not_found", NO_ENDPOINT),
    ("EQ", 408, "invalid_request", "The request did not arrive in time."),
    ("EQ", 413, "request_too_large", TOO_LARGE),
    ("EQ", 426, "invalid_request", "Use HTTP/1.1 or HTTP/2."),
    ("EQ", 429, "rate_limit_exceeded", "Too many or too large requests. Slow down."),
    ("EQ", 431, "invalid_request", "The request headers must be at most 8 KiB in at most 64 lines."),
    ("GE", 500, "internal_error", "Unexpected server error."),
    ("GE", 400, "invalid_request", "The request is not valid."),
)
"""How a status compares with what, code and message; the first that fits wins."""
TYPES: Final = {"internal_error": "api_error", "rate_limit_exceeded": "rate_limit_error"}
"""By code. Of all others it is `invalid_request_error`."""
CROWDED: Final[Config] = {
    "or_filter": {
        "filters": [
            {"response_flag_filter": {"flags": ["UO"]}},
            {
                "status_code_filter": {
                    "comparison": {
                        "op": "EQ",
                        "value": {"default_value": CREATIONS_STATUS, "runtime_key": "edge.refusal.crowded"},
                    }
                }
            },
        ]
    }
}
"""Fits the refusal of what is more than a limit of a cluster, or than the creations of a key. It becomes a 503."""
RETRY_SECONDS: Final = 1
TOO_MANY: Final = f"Too many requests are under way at the moment. Try again in {RETRY_SECONDS} s."
RAW_HEADER: Final = "x-api-raw"
"""Marks what envelope.lua has to put in a customer's words."""


def local_replies() -> Config:
    """Returns the rewriting of Envoy's own refusals. Mappers only: a general format would rewrite successes too."""
    nextapi = of_nextapi()
    refusals = [
        *(_malformed(each) for each in MALFORMED),
        _Refused(CROWDED, 503, "internal_error", TOO_MANY, retry_seconds=RETRY_SECONDS),
        *(
            _Refused(_of_status(comparison, status), None, code, message)
            for comparison, status, code, message in REFUSALS
        ),
    ]
    return {
        "mappers": [
            *(_mapper(_malformed(each), typed=True) for each in UNREAD),
            *(_mapper(refused, typed=False, condition=nextapi) for refused in refusals),
            *(_mapper(refused, typed=True) for refused in refusals),
        ]
    }


@dataclass(frozen=True)
class _Refused:
    condition: Config
    status: int | None
    """None: Envoy's own."""
    code: str
    message: str
    retry_seconds: int | None = None


def _malformed(refused: Malformed) -> _Refused:
    _, status, code, message = refused
    return _Refused(called(refused), status, code, message)


def _of_status(comparison: str, status: int) -> Config:
    value = {"default_value": status, "runtime_key": f"edge.refusal.{comparison.lower()}_{status}"}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}


def _mapper(refused: _Refused, *, typed: bool, condition: Config | None = None) -> Config:
    kind = TYPES.get(refused.code, "invalid_request_error")
    error = {"code": refused.code, "message": refused.message, **({"type": kind} if typed else {})}
    # What cannot even be parsed never got an id; where there is one, Envoy puts it over this one.
    request_id = {"header": {"key": "x-request-id", "value": "%UNIQUE_ID%"}, "append_action": "ADD_IF_ABSENT"}
    raw = [header(RAW_HEADER, "true")] if refused.message == RAW_TEXT else []
    retry = [header("retry-after", str(refused.retry_seconds))] if refused.retry_seconds else []
    return {
        "filter": {"and_filter": {"filters": [refused.condition, condition]}}
        if condition
        else refused.condition,
        "headers_to_add": [request_id, *raw, *retry],
        "body_format_override": {"json_format": {"error": error}},
        **({"status_code": refused.status} if refused.status else {}),
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
        # Envoy refuses gRPC callers in gRPC, with status 200.
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
