"""What every request passes through. Answers pass in reverse, so what cleans them stands first."""

from collections.abc import Sequence
from typing import Final

from services.edge.errors import envelope_filter
from services.edge.extension import Config, header, named
from services.edge.media import media_filters
from services.edge.settings import EdgeSettings
from services.edge.transcoding import BODY_BYTES_MAX, transcoder

LEAKED_HEADERS: Final = ({"prefix": "grpc-"}, {"prefix": "x-envoy-"})
ALL_TRAILERS: Final = ({"safe_regex": {"regex": ".*"}},)
ADDRESSES_MAX: Final = 10_000
"""Of which the edge counts calls at once. Who comes back after more than that begins anew."""
READY_WITH: Final = ("billing", "jobs")
"""Clusters without which no task can be created or polled. While webhooks is away, only its own pages fail."""


def http_filters(settings: EdgeSettings, descriptor: bytes) -> list[Config]:
    """Returns the filters of the listener, outermost first."""
    folder = settings.media_folder
    return [
        clean_answers(headers=LEAKED_HEADERS, trailers=ALL_TRAILERS),
        _readiness(),
        envelope_filter(),
        *([flood_guard(most)] if (most := settings.calls_per_second_per_address) else ()),
        *(media_filters(folder, settings.media_path) if folder else ()),
        # The transcoder's own limit is none: it counts only what it has not parsed yet.
        body_limit(),
        transcoder(descriptor),
        router(),
    ]


def body_limit() -> Config:
    """Returns the filter that refuses bodies over BODY_BYTES_MAX."""
    return named(
        "envoy.filters.http.body_size_limit",
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


def flood_guard(calls_per_second: int) -> Config:
    """What a key may do is for the services to say; this keeps floods away from them that have none."""
    bucket = {"max_tokens": calls_per_second, "tokens_per_fill": calls_per_second, "fill_interval": "1s"}
    always = {"numerator": 100, "denominator": "HUNDRED"}
    address = {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}
    return named(
        "envoy.filters.http.local_ratelimit",
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="edge_address",
        filter_enabled={"runtime_key": "edge.flood_guard.enabled", "default_value": always},
        filter_enforced={"runtime_key": "edge.flood_guard.enforced", "default_value": always},
        rate_limits=[{"actions": [address]}],
        # An entry without a value: each address has a bucket of its own.
        descriptors=[{"entries": [{"key": "masked_remote_address"}], "token_bucket": bucket}],
        max_dynamic_descriptors=ADDRESSES_MAX,
        always_consume_default_token_bucket=False,
        token_bucket=bucket,
        rate_limited_as_resource_exhausted=True,
        response_headers_to_add=[header("retry-after", "1")],
    )


def removals(*matchers: Config) -> list[Config]:
    """Returns mutations that remove every header whose name matches."""
    return [{"remove_on_match": {"key_matcher": matcher}} for matcher in matchers]


def _readiness() -> Config:
    return named(
        "envoy.filters.http.health_check",
        "extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[{"name": ":path", "string_match": {"exact": "/readyz"}}],
        cluster_min_healthy_percentages={name: {"value": 1.0} for name in READY_WITH},
    )
