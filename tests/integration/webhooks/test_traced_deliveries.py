"""Attempts belong to the trace of their job, tomorrow's too; the receiver learns nothing of it."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.common.telemetry.tracing import ATTRIBUTES
from services.webhooks.convert import parse_event
from services.webhooks.settings import WebhooksSettings
from tests.integration.webhooks.dispatching import Bench, open_bench
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Database, event
from tests.spans import SAMPLED, TRACE, parent_of, spans_kept, trace_of


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with spans_kept() as kept:
        yield kept


async def accept_traced(bench: Bench, url: str, *numbers: int) -> None:
    events = [parse_event(event("vid_1", number, target_url=url)) for number in numbers]
    await bench.events.accept(events, traceparent=SAMPLED)


async def test_every_attempt_is_a_span_below_what_took_the_event_over(
    settings: WebhooksSettings, receiver: Receiver, database: Database, spans: InMemorySpanExporter
) -> None:
    receiver.answer_with("/hook", 500, 200)
    async with open_bench(settings) as bench:
        await accept_traced(bench, receiver.url + "/hook", 1)
        await bench.deliver_due()
        await database.make_due()
    async with open_bench(settings) as another:
        await another.deliver_due()

    first, second = spans.get_finished_spans()
    assert [each.name for each in (first, second)] == ["webhook attempt"] * 2
    for each, status in ((first, 500), (second, 200)):
        assert each.attributes is not None
        assert parent_of(each) == SAMPLED[36:52]
        assert trace_of(each) == TRACE
        assert each.attributes[ATTRIBUTES["status"]] == status
        assert each.attributes[ATTRIBUTES["event"]] == "vid_1-1"
    assert not [name for each in receiver.received for name in each.headers if "trace" in name.lower()]


async def test_the_later_events_of_a_job_belong_to_its_trace_too(
    settings: WebhooksSettings, receiver: Receiver, spans: InMemorySpanExporter
) -> None:
    async with open_bench(settings) as bench:
        await accept_traced(bench, receiver.url + "/hook", 1)
        await bench.deliver_due()
        await accept_traced(bench, receiver.url + "/hook", 2)
        await bench.deliver_due()

    assert [parent_of(each) for each in spans.get_finished_spans()] == [SAMPLED[36:52]] * 2


async def test_an_event_of_no_trace_makes_no_span(
    settings: WebhooksSettings, receiver: Receiver, spans: InMemorySpanExporter
) -> None:
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", target_url=receiver.url + "/hook"))
        await bench.deliver_due()

    assert len(receiver.received) == 1
    assert not spans.get_finished_spans()


async def test_a_receiver_that_does_not_answer_is_an_error_without_its_address(
    settings: WebhooksSettings, receiver: Receiver, spans: InMemorySpanExporter
) -> None:
    async with open_bench(settings) as bench:
        await accept_traced(bench, "http://127.0.0.1:1/hook?signature=secret", 1)
        await bench.deliver_due()

    [found] = spans.get_finished_spans()
    assert found.status.status_code.name == "ERROR"
    assert "secret" not in found.to_json()
    assert "127.0.0.1" not in found.to_json()
