"""Spans leave the process through OTLP where a collector is configured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.common.telemetry.metrics import counter

_ENDED = counter(
    "reelgate_spans_total",
    "Spans of this process: `sent` to the collector, or `lost` because it did not take them or too many waited.",
    labels=("outcome",),
)
SENT, LOST = _ENDED.labels("sent"), _ENDED.labels("lost")


@asynccontextmanager
async def exporting(service: str, endpoint: str) -> AsyncIterator[None]:
    """Sends the spans of a process to an OTLP collector until the block ends.

    `endpoint` is `http://host:port` or `https://host:port`. Empty: no spans are made.
    """
    if not endpoint:
        yield
        return
    # Only who exports pays for loading the SDK.
    from services.common.telemetry.span_queue import otlp_exporter, recording_to  # noqa: PLC0415

    async with recording_to(otlp_exporter(endpoint), service=service):
        yield
