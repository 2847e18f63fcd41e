"""Native gRPC for customers: the public services and nothing else, as hardened as JSON is."""

from base64 import b64encode
from typing import Final

from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.common.errors import Reason
from services.common.rpc.both_ends import ERROR_DOMAIN
from services.edge.descriptor import Descriptor
from services.edge.errors import CROWDED, RETRY_SECONDS, TOO_MANY
from services.edge.extension import Config, header, named
from services.edge.filters import body_limit, clean_answers, removals, router
from services.edge.floods import BUSY, NO_LIMIT, creations_guard, flood_guard
from services.edge.quiet import quiet_apart, quiet_filters
from services.edge.routes import ARRIVAL_SECONDS, grpc_routes
from services.edge.settings import EdgeSettings
from services.edge.strict import FAULT
from services.edge.tracing import TRACE_HEADERS

FORGED_HEADERS: Final = (
    {"suffix": "-bin"},
    {"prefix": "grpc-"},
    {"exact": FAULT},
    {"exact": BUSY},
    *({"exact": name} for name in TRACE_HEADERS),
)
"""Deadlines and traces are ours, compressed messages are refused, what cannot be decoded would make the call fail, and
only the edge says what is wrong with a body, and whose key is busy."""
LEAKED_HEADERS: Final = ({"prefix": "x-envoy-"}, {"prefix": "x-api-"})
REFUSALS: Final = (
    ("EQ", 404, "There is no such method."),
    ("EQ", 413, "The request must be at most 256 KiB."),
    ("EQ", 429, "Too many requests come from this address. Slow down."),
    ("GE", 500, "Unexpected server error."),
    ("GE", 400, "The request is not valid."),
)
"""What Envoy's own refusals say; its own words would tell of addresses behind it."""


def grpc_manager(settings: EdgeSettings, descriptor: Descriptor) -> Config:
    """Returns what the connection manager of gRPC has of its own."""
    routes = quiet_apart(grpc_routes(descriptor.endpoints), settings)
    host = {"name": "grpc", "domains": ["*"], "routes": routes}
    most = settings.calls_per_second_per_address
    return {
        "codec_type": "HTTP2",
        "request_timeout": f"{ARRIVAL_SECONDS}s",
        "early_header_mutation_extensions": [
            named(
                "early",
                "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                mutations=removals(*FORGED_HEADERS),
            )
        ],
        "local_reply_config": {"mappers": [_crowded(), *(_mapper(*refusal) for refusal in REFUSALS)]},
        "route_config": {"name": "grpc", "virtual_hosts": [host]},
        "http_filters": [
            clean_answers(headers=LEAKED_HEADERS, trailers=LEAKED_HEADERS),
            *([flood_guard(most)] if most else ()),
            creations_guard(settings.creations_per_second_per_key or NO_LIMIT),
            *quiet_filters(settings),
            body_limit(),
            router(),
        ],
    }


def _mapper(comparison: str, status: int, message: str) -> Config:
    value = {"default_value": status, "runtime_key": f"edge.grpc.refusal.{comparison.lower()}_{status}"}
    return {
        "filter": {"status_code_filter": {"comparison": {"op": comparison, "value": value}}},
        "body_format_override": {"text_format_source": {"inline_string": message}},
    }


def _crowded() -> Config:
    """Returns the refusal of what is too much at the moment, as services refuse it: with a reason, and when to try again."""
    status = status_pb2.Status(code=code_pb2.UNAVAILABLE, message=TOO_MANY)
    info = error_details_pb2.ErrorInfo(
        reason=str(Reason.UNAVAILABLE),
        domain=ERROR_DOMAIN,
        metadata={"retry_after_seconds": str(RETRY_SECONDS)},
    )
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromSeconds(RETRY_SECONDS)
    for detail in (info, retry):
        status.details.add().Pack(detail)
    details = b64encode(status.SerializeToString(deterministic=True)).rstrip(b"=").decode()
    return {
        "filter": CROWDED,
        "status_code": 503,
        "headers_to_add": [header("grpc-status-details-bin", details)],
        "body_format_override": {"text_format_source": {"inline_string": TOO_MANY}},
    }
