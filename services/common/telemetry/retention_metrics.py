"""What is still there although it is older than it is kept."""

from services.common.telemetry.metrics import JOBS_WORKER, WEBHOOKS_DISPATCHER, gauge

RETENTION_BEHIND = gauge(
    "reelgate_retention_behind_seconds",
    "How long ago the oldest row should have gone that is still there; 0 if none should.",
    labels=("table",),
    of=(JOBS_WORKER, WEBHOOKS_DISPATCHER),
)
