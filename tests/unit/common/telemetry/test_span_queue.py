"""Whatever the collector does, memory is bounded, what is lost is counted, and nobody waits for it."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from typing_extensions import override

from services.common.telemetry import span_queue
from services.common.telemetry.span_queue import SPANS_PER_MESSAGE_MAX, SPANS_WAITING_MAX, recording_to
from services.common.telemetry.tracing import span
from tests.patience import PATIENCE_SECONDS
from tests.spans import SAMPLED


class Gate(SpanExporter):
    """A collector that answers once the gate is opened."""

    def __init__(self, *, result: SpanExportResult = SpanExportResult.SUCCESS, is_open: bool = False) -> None:
        self.opened, self.asked = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        self._result = result
        if is_open:
            self.opened.set()

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.sizes.append(len(spans))
        self.asked.set()
        assert self.opened.wait(PATIENCE_SECONDS)
        return self._result

    @override
    def shutdown(self) -> None:
        self.opened.set()


def make_spans(count: int) -> None:
    for _ in range(count):
        with span("any", parent=SAMPLED):
            pass


async def test_while_the_collector_hangs_the_queue_is_bounded_and_the_rest_is_counted() -> None:
    gate = Gate()

    async with recording_to(gate, service="tests") as queue:
        make_spans(SPANS_PER_MESSAGE_MAX)
        await asyncio.to_thread(gate.asked.wait, PATIENCE_SECONDS)
        make_spans(SPANS_WAITING_MAX + 500)
        lost = queue.lost
        gate.opened.set()

    # What hangs is in hand and counts as waiting.
    assert lost == SPANS_PER_MESSAGE_MAX + 500
    assert queue.sent == SPANS_WAITING_MAX
    assert max(gate.sizes) == SPANS_PER_MESSAGE_MAX


async def test_what_the_collector_refuses_is_counted() -> None:
    async with recording_to(Gate(result=SpanExportResult.FAILURE, is_open=True), service="tests") as queue:
        make_spans(3)

    assert (queue.sent, queue.lost) == (0, 3)


async def test_what_is_left_is_sent_at_the_end() -> None:
    async with recording_to(Gate(is_open=True), service="tests") as queue:
        make_spans(SPANS_PER_MESSAGE_MAX * 2 + 5)

    assert (queue.sent, queue.lost) == (SPANS_PER_MESSAGE_MAX * 2 + 5, 0)


async def test_a_collector_that_hangs_keeps_no_process_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_queue, "FLUSH_SECONDS_MAX", 0.01)
    gate = Gate()

    async with recording_to(gate, service="tests"):
        make_spans(1)

    # Nobody but its shutdown has opened the gate.
    assert gate.opened.is_set()


def test_a_flush_takes_no_longer_than_promised() -> None:
    assert span_queue.FLUSH_SECONDS_MAX <= 2.0
