"""Spans leave the process through OTLP where a collector is configured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


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
