"""What is due, in SQL, for the metrics."""

from services.common.telemetry.readings import queue_reading

READINGS = (
    queue_reading(
        "holds",
        due="SELECT expires_at FROM holds WHERE resolved_at IS NULL AND expires_at <= now()",
        order="expires_at",
    ),
)
