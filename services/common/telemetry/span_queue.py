"""Ended spans wait in a bounded queue for a thread that sends them. Whoever ends a span never waits."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from typing_extensions import override

from services.common.telemetry.exporting import LOST, SENT
from services.common.telemetry.tracing import recording

log = logging.getLogger(__name__)

SPANS_WAITING_MAX = 2_048
"""Spans that have ended and are not sent, about 4 KiB each. Further ones are dropped."""
SPANS_PER_MESSAGE_MAX = 64
"""To encode more at a time would keep the event loop waiting."""
SEND_EVERY_MS = 1_000
SEND_SECONDS_MAX = 5.0
"""How long a message is tried, repetitions included."""
FLUSH_SECONDS_MAX = 2.0


class SpanQueue(BatchSpanProcessor):
    """Takes ended spans and sends them in batches. Counts what was sent and what was lost.

    Lost are those that found the queue full, and those that the collector did not take.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._counted = _Counted(exporter)
        self._taken = 0
        self._dropped = 0
        super().__init__(
            self._counted,
            max_queue_size=SPANS_WAITING_MAX,
            max_export_batch_size=SPANS_PER_MESSAGE_MAX,
            schedule_delay_millis=SEND_EVERY_MS,
        )

    @property
    def sent(self) -> int:
        """Spans that the collector took."""
        return self._counted.sent

    @property
    def lost(self) -> int:
        """Spans that nobody will see."""
        return self._dropped + self._counted.refused

    def give_up(self) -> None:
        """Ends a message that is being sent, and sends no other."""
        self._counted.shutdown()

    @override
    def on_end(self, span: ReadableSpan) -> None:
        if self._taken - self._counted.seen >= SPANS_WAITING_MAX:
            self._dropped += 1
            LOST.inc()
            return
        self._taken += 1
        super().on_end(span)


class _Counted(SpanExporter):
    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self.seen = 0
        self.sent = 0
        self.refused = 0
        self._is_shut = False

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            if not self._is_shut:
                result = self._inner.export(spans)
        finally:
            self.seen += len(spans)
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
            SENT.inc(len(spans))
        else:
            self.refused += len(spans)
            LOST.inc(len(spans))
        return result

    @override
    def shutdown(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            self._inner.shutdown()


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Returns what sends spans to `http://host:port`, or over TLS to `https://host:port`, once it has some."""
    return OTLPSpanExporter(endpoint, timeout=SEND_SECONDS_MAX)


@asynccontextmanager
async def recording_to(exporter: SpanExporter, *, service: str) -> AsyncIterator[SpanQueue]:
    """Makes spans and gives them to an exporter until the block ends, then what is left, for FLUSH_SECONDS_MAX."""
    queue = SpanQueue(exporter)
    provider = TracerProvider(
        # Whoever asks for a span has looked at the flag.
        sampler=ALWAYS_ON,
        resource=Resource.create({"service.name": service, "service.namespace": "reelgate"}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(queue)
    try:
        with recording(provider.get_tracer("reelgate")):
            yield queue
    finally:
        if not await _ends(queue.shutdown, seconds_max=FLUSH_SECONDS_MAX):
            queue.give_up()
        if queue.lost:
            log.warning("spans sent=%d lost=%d", queue.sent, queue.lost)


async def _ends(work: Callable[[], None], *, seconds_max: float) -> bool:
    """Runs `work` in a thread that keeps no process from ending. Returns whether it ended in time."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        work()
        # By now nobody may be waiting any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="span flush", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds_max):
            await done.wait()
    return done.is_set()
