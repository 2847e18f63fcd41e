"""Spans as tests see them: kept in memory, or received from other processes as a collector receives them."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as collector
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from services.common.telemetry.tracing import recording

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"


@contextmanager
def spans_kept() -> Iterator[InMemorySpanExporter]:
    """Keeps the spans that this process ends inside the block."""
    kept, provider = InMemorySpanExporter(), TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with recording(provider.get_tracer("tests")):
        yield kept


def trace_of(span: ReadableSpan) -> str:
    """Returns the id of its trace, in hexadecimal."""
    return f"{span.get_span_context().trace_id:032x}"  # type: ignore[union-attr]


def id_of(span: ReadableSpan) -> str:
    """Returns its id, in hexadecimal."""
    return f"{span.get_span_context().span_id:016x}"  # type: ignore[union-attr]


def parent_of(span: ReadableSpan) -> str:
    """Returns the id of the span above one, in hexadecimal."""
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


@dataclass(frozen=True, kw_only=True)
class ReceivedSpan:
    """A span as it came to the collector."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, Any]
    is_error: bool


@dataclass
class Collector(TraceServiceServicer):
    """What an OTLP collector got so far."""

    address: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    """The same as it came."""

    def Export(  # noqa: N802  the name of the proto
        self, request: collector.ExportTraceServiceRequest, context: Any
    ) -> collector.ExportTraceServiceResponse:
        self.messages.append(request.SerializeToString())
        for resource in request.resource_spans:
            names = _attributes(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_received(span, service=names["service.name"]) for span in scope.spans]
        return collector.ExportTraceServiceResponse()

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        """Returns the spans of a trace that have come."""
        return [span for span in self.spans if span.trace_id == trace_id]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Receives spans over OTLP until the block ends, in threads of its own."""
    found, server = Collector(), grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(found, server)  # type: ignore[no-untyped-call]
    found.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield found
    finally:
        server.stop(None).wait()


def _received(span: Any, *, service: str) -> ReceivedSpan:
    return ReceivedSpan(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        is_error=span.status.code == span.status.STATUS_CODE_ERROR,
    )


def _attributes(found: Sequence[Any]) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in found}
