"""Limits what one address may send, and how much expensive work all together may send. The services limit keys."""

from collections.abc import Sequence
from typing import Any, Final

from services.edge.extension import Config, header, named
from services.edge.settings import EdgeSettings
from services.edge.transcoding import BODY_BYTES_MAX

KIB: Final = 1024
BODY_LIMIT: Final = "envoy.filters.http.body_size_limit"
"""The filter that ends bodies over BODY_BYTES_MAX."""
ADDRESS_BYTES, LARGE_BYTES = "edge_address_bytes", "edge_large_bytes"
"""The filters that count the bytes of bodies."""
MEASURED: Final = "measured"
"""The filter that keeps a body of unknown length until it is whole."""
CREATIONS: Final = "creations"
"""The filter that bounds the creations of each key."""
BUSY_MARKER: Final = "busy"
"""The filter that marks the creations of a key that sends many."""
BUSY: Final = "x-edge-busy-key"
"""What it marks them with. No client can send it, and no service sees it."""
CREATIONS_STATUS: Final = 507
"""What it refuses with, so that the refusal is known by it. It has no other meaning here, and nobody sees it."""
KEY_HEADERS: Final = ("authorization", "x-api-key")
KEYS_MAX: Final = 2_000
"""How many keys are counted at once. Anybody can make them up, each as long as a header may be."""
LARGE_BODY_BYTES: Final = 64 * KIB
"""A long prompt, full metadata and links are less."""
ADDRESSES_MAX: Final = 10_000
"""How many addresses are counted at once. An address that is dropped starts again from zero."""
ADDRESS: Final = {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}
LENGTH_OF_BODY: Final = {"format": "%REQUEST_HEADER(content-length)%"}
NO_LIMIT: Final = 0xFFFFFFFF


def flood_guard(calls_per_second: int) -> Config:
    """Returns the filter that bounds the requests of each address."""
    return _guard(
        "edge_address",
        [{"actions": [ADDRESS]}],
        # An entry without a value: each address has a bucket of its own.
        {"entries": [{"key": "masked_remote_address"}], "token_bucket": _bucket(calls_per_second)},
    )


def creations_guard(per_second: int) -> Config:
    """Returns the filter that bounds the creations of each key, where a route switches it on.

    Nobody knows yet whether there is such a key. One that floods is so held back before it costs a service anything.
    """
    guard = _guard(
        "edge_key_creations",
        _by_key(),
        {"entries": [{"key": "key"}], "token_bucket": _bucket(per_second)},
        status={"code": CREATIONS_STATUS},
        rate_limited_as_resource_exhausted=False,
        max_dynamic_descriptors=KEYS_MAX,
    )
    return {**guard, "name": CREATIONS, "disabled": True}


def busy_marker(per_second: int, *, most: int) -> Config:
    """Returns the filter that marks what a key creates beyond so many a second, and all keys together beyond `most`."""
    marker = _guard(
        "edge_busy_keys",
        _by_key(),
        {"entries": [{"key": "key"}], "token_bucket": _bucket(per_second)},
        filter_enforced={
            "runtime_key": "edge.edge_busy_keys.enforced",
            "default_value": {"numerator": 0, "denominator": "HUNDRED"},
        },
        request_headers_to_add_when_not_enforced=[header(BUSY, "yes")],
        always_consume_default_token_bucket=True,
        token_bucket=_bucket(most),
        max_dynamic_descriptors=KEYS_MAX,
    )
    return {**marker, "name": BUSY_MARKER, "disabled": True}


def _by_key() -> list[Config]:
    return [
        {"actions": [{"request_headers": {"header_name": name, "descriptor_key": "key"}}]}
        for name in KEY_HEADERS
    ]


def body_guards(settings: EdgeSettings) -> list[Config]:
    """Returns the filters that bound what the transcoder reads, which takes time for each byte, of anybody's bodies."""
    per_address = settings.body_kib_per_second_per_address
    large = settings.large_body_kib_per_second
    return [
        *([_measured()] if per_address or large else ()),
        # An address that may not send takes nothing from what all share.
        *([_bytes_of_address(per_address * KIB)] if per_address else ()),
        *([_large_bytes(large * KIB)] if large else ()),
    ]


def whole_body() -> Config:
    """Returns the filter that keeps a body until it is whole."""
    return named(
        "envoy.filters.http.buffer",
        "extensions.filters.http.buffer.v3.Buffer",
        max_request_bytes=BODY_BYTES_MAX,
    )


def _bytes_of_address(bytes_per_second: int) -> Config:
    guard = _guard(
        ADDRESS_BYTES,
        [{"actions": [_body_from("any", 1), ADDRESS], "hits_addend": LENGTH_OF_BODY}],
        {
            "entries": [{"key": "header_match", "value": "any"}, {"key": "masked_remote_address"}],
            "token_bucket": _bucket(bytes_per_second, at_least=BODY_BYTES_MAX),
        },
    )
    return {**guard, "name": ADDRESS_BYTES}


def _large_bytes(bytes_per_second: int) -> Config:
    guard = _guard(
        LARGE_BYTES,
        [{"actions": [_body_from("large", LARGE_BODY_BYTES + 1)], "hits_addend": LENGTH_OF_BODY}],
        {
            "entries": [{"key": "header_match", "value": "large"}],
            "token_bucket": _bucket(bytes_per_second, at_least=BODY_BYTES_MAX),
        },
    )
    return {**guard, "name": LARGE_BYTES}


def _body_from(name: str, length: int) -> Config:
    is_long = {
        "name": "content-length",
        "range_match": {"start": length, "end": BODY_BYTES_MAX + 1},
    }
    return {"header_value_match": {"descriptor_value": name, "headers": [is_long]}}


def _guard(name: str, rate_limits: Sequence[Config], descriptor: Config, **changes: Any) -> Config:
    bucket = descriptor["token_bucket"]
    full_after_seconds = -(-bucket["max_tokens"] // bucket["tokens_per_fill"])
    always = {"numerator": 100, "denominator": "HUNDRED"}
    config = {
        "stat_prefix": name,
        "filter_enabled": {"runtime_key": f"edge.{name}.enabled", "default_value": always},
        "filter_enforced": {"runtime_key": f"edge.{name}.enforced", "default_value": always},
        "rate_limits": list(rate_limits),
        "descriptors": [descriptor],
        "max_dynamic_descriptors": ADDRESSES_MAX,
        "always_consume_default_token_bucket": False,
        # Of what the descriptor does not fit.
        "token_bucket": _bucket(NO_LIMIT),
        "rate_limited_as_resource_exhausted": True,
        "response_headers_to_add": [header("retry-after", str(full_after_seconds))],
        **changes,
    }
    kind = "extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
    return named("envoy.filters.http.local_ratelimit", kind, **config)


def _bucket(tokens_per_second: int, *, at_least: int = 0) -> Config:
    """Returns what fills at this rate and holds a second's worth, or `at_least` so much."""
    return {
        "max_tokens": max(tokens_per_second, at_least),
        "tokens_per_fill": tokens_per_second,
        "fill_interval": "1s",
    }


def _measured() -> Config:
    """Returns the filter that gives a body of unknown length its length, by keeping it until it is whole."""
    execute = named(
        MEASURED, "extensions.filters.http.composite.v3.ExecuteFilterAction", typed_config=whole_body()
    )
    length = named("length", "type.matcher.v3.HttpRequestHeaderMatchInput", header_name="content-length")
    known = {
        "single_predicate": {
            "input": length,
            "value_match": {"safe_regex": {"google_re2": {}, "regex": ".*"}},
        }
    }
    matcher = {"predicate": {"not_matcher": known}, "on_match": {"action": execute}}
    return named(
        MEASURED,
        "extensions.filters.http.composite.v3.Composite",
        matcher={"matcher_list": {"matchers": [matcher]}},
    )
