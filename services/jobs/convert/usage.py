"""Usage as customers ask for it and see it."""

from datetime import datetime, timedelta
from typing import Any

from reelgate.usage.v1 import usage_pb2, usage_service_pb2

from services.common.clock import parse_moment, rfc3339, whole_milliseconds
from services.common.errors import invalid_field
from services.jobs.convert.shared import render_credits
from services.jobs.operations.get_usage import Tally, Usage

USAGE_RANGE_DEFAULT = timedelta(days=30)
USAGE_DAYS_DEFAULT = 30


def parse_get_usage(
    request: usage_service_pb2.GetUsageRequest, *, now: datetime
) -> tuple[datetime, datetime, int]:
    """Returns first and last moment in whole milliseconds, and how many days. Refuses with INVALID_FIELD."""
    end = parse_moment("end", request.end) if request.HasField("end") else whole_milliseconds(now)
    start = parse_moment("start", request.start) if request.HasField("start") else end - USAGE_RANGE_DEFAULT
    if start > end:
        raise invalid_field("start", f"must not be after the end of the range, {rfc3339(end)}", request.start)
    return start, end, request.limit or USAGE_DAYS_DEFAULT


def render_usage(usage: Usage) -> usage_pb2.Usage:
    """Returns the summary of a range."""
    return usage_pb2.Usage(
        range=usage_pb2.UsageRange(start=rfc3339(usage.start), end=rfc3339(usage.end)),
        summary=usage_pb2.UsageSummary(**_tally(usage.summary)),
        by_model=[usage_pb2.ModelUsage(model=model, **_tally(tally)) for model, tally in usage.by_model],
        timeline=[usage_pb2.DayUsage(date=day.isoformat(), **_tally(tally)) for day, tally in usage.timeline],
    )


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "total_jobs": tally.total,
        "pending_jobs": tally.pending,
        "processing_jobs": tally.processing,
        "completed_jobs": tally.completed,
        "failed_jobs": tally.failed,
        "credits_charged": render_credits(tally.charged_micros),
        "credits_refunded": render_credits(tally.refunded_micros),
        "net_credits": render_credits(tally.net_micros),
    }
