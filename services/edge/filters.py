"""What every request passes through. Answers pass in reverse, so what cleans them stands first."""

from collections.abc import Sequence
from typing import Final

from services.edge.browsers import browser_filters
from services.edge.descriptor import Descriptor
from services.edge.errors import envelope_filter
from services.edge.extension import Config, named
from services.edge.floods import BODY_LIMIT, NO_LIMIT, body_guards, creations_guard, flood_guard
from services.edge.quiet import quiet_filters
from services.edge.settings import EdgeSettings
from services.edge.strict import strict_filters
from services.edge.trailing import trailing_filter
from services.edge.transcoding import BODY_BYTES_MAX, transcoder

LEAKED_HEADERS: Final = ({"prefix": "grpc-"}, {"prefix": "x-envoy-"})
ALL_TRAILERS: Final = ({"safe_regex": {"regex": ".*"}},)
READY_WITH: Final = ("billing", "jobs")
"""Clusters without which no task can be created or polled. While webhooks is away, only its own pages fail."""


def http_filters(settings: EdgeSettings, descriptor: Descriptor) -> list[Config]:
    """Returns the filters of the listener, outermost first."""
    return [
        clean_answers(headers=LEAKED_HEADERS, trailers=ALL_TRAILERS),
        _readiness(),
        envelope_filter(),
        *browser_filters(settings.cors_origins),
        trailing_filter(),
        *([flood_guard(most)] if (most := settings.calls_per_second_per_address) else ()),
        creations_guard(settings.creations_per_second_per_key or NO_LIMIT),
        *quiet_filters(settings),
        # The transcoder's own limit is none: it counts only what it has not parsed yet.
        body_limit(),
        *body_guards(settings),
        *strict_filters(descriptor),
        transcoder(descriptor.encoded),
        router(),
    ]


def body_limit() -> Config:
    """Returns the filter that refuses bodies over BODY_BYTES_MAX."""
    return named(
        BODY_LIMIT,
        "extensions.filters.http.body_size_limit.v3.BodySizeLimit",
        max_request_bytes=BODY_BYTES_MAX,
    )


def router() -> Config:
    """Returns the last filter, which forwards."""
    return named(
        "envoy.filters.http.router",
        "extensions.filters.http.router.v3.Router",
        suppress_envoy_headers=True,
    )


def clean_answers(*, headers: Sequence[Config], trailers: Sequence[Config]) -> Config:
    """Returns the filter that removes the headers and trailers whose names match from every answer."""
    return named(
        "envoy.filters.http.header_mutation",
        "extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={
            "response_mutations": removals(*headers),
            "response_trailers_mutations": removals(*trailers),
        },
    )


def removals(*matchers: Config) -> list[Config]:
    """Returns mutations that remove every header whose name matches."""
    return [{"remove_on_match": {"key_matcher": matcher}} for matcher in matchers]


def _readiness() -> Config:
    return named(
        "envoy.filters.http.health_check",
        "extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[{"name": ":path", "string_match": {"safe_regex": {"regex": r"/readyz(\?.*)?"}}}],
        cluster_min_healthy_percentages={name: {"value": 1.0} for name in READY_WITH},
    )
