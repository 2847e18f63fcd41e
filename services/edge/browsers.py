"""Which pages of others may call the API from a browser (CORS), and what they may read of its answers.

Envoy's own filter for it leaves out what a route answers by itself, such as the refusal of an unknown path.
"""

import re
from collections.abc import Sequence
from typing import Final

from services.edge.extension import Config, header, named, switched
from services.edge.floods import MEASURED
from services.edge.tracing import NEVER_TRACED
from services.edge.transcoding import TRANSCODER

BROWSERS: Final = "browsers"
API: Final = "/v1/"
METHODS: Final = ("DELETE", "GET", "PATCH", "POST")
SENT: Final = (
    "authorization",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "x-api-key",
    "x-nextapi-environment",
)
"""Headers of requests that a page may set."""
READ: Final = (
    "idempotent-replayed",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-request-id",
)
"""Headers of answers that a page may read."""
PREFLIGHT_SECONDS: Final = 600
"""How long a browser need not ask again."""


def browser_filters(origins: Sequence[str]) -> list[Config]:
    """Returns the filter that lets pages of these origins read every answer below /v1, whoever gives it.

    It never lets in all origins, and never cookies: a key is all that lets in.
    """
    if not origins:
        return []
    vary = {"header": {"key": "vary", "value": "origin"}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
    allowed = header("access-control-allow-origin", "%REQUEST_HEADER(origin)%")
    mutations = [allowed, header("access-control-expose-headers", ", ".join(READ)), vary]
    readable = named(
        "readable",
        "extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={"response_mutations": [{"append": each} for each in mutations]},
    )
    execute = named(
        BROWSERS, "extensions.filters.http.composite.v3.ExecuteFilterAction", typed_config=readable
    )
    below_api = _matching(":path", f"{re.escape(API)}.*")
    matcher = {
        "predicate": {"and_matcher": {"predicate": [below_api, _matching("origin", _any_of(origins))]}},
        "on_match": {"action": execute},
    }
    composite = named(
        BROWSERS,
        "extensions.filters.http.composite.v3.Composite",
        matcher={"matcher_list": {"matchers": [matcher]}},
    )
    return [composite]


def preflight_routes(origins: Sequence[str]) -> list[Config]:
    """Returns the route that answers what a browser asks before it sends a request: without a key, and by the edge alone."""
    if not origins:
        return []
    asking = [
        {"name": ":method", "string_match": {"exact": "OPTIONS"}},
        {"name": "origin", "string_match": {"safe_regex": {"regex": _any_of(origins)}}},
        {"name": "access-control-request-method", "present_match": True},
    ]
    said = {
        "access-control-allow-headers": ", ".join(SENT),
        "access-control-allow-methods": ", ".join(METHODS),
        "access-control-max-age": str(PREFLIGHT_SECONDS),
    }
    return [
        {
            "name": f"OPTIONS {API}*",
            "match": {"prefix": API, "headers": asking},
            "direct_response": {"status": 204},
            "response_headers_to_add": [header(name, value) for name, value in said.items()],
            "tracing": NEVER_TRACED,
            "typed_per_filter_config": {name: switched(on=False) for name in (MEASURED, TRANSCODER)},
        }
    ]


def _any_of(origins: Sequence[str]) -> str:
    return "|".join(map(re.escape, origins))


def _matching(name: str, regex: str) -> Config:
    value = named("header", "type.matcher.v3.HttpRequestHeaderMatchInput", header_name=name)
    return {
        "single_predicate": {
            "input": value,
            "value_match": {"safe_regex": {"google_re2": {}, "regex": regex}},
        }
    }
