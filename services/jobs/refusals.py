"""What jobs refuses, and the sentence that says so."""

from services.common.errors import Reason, ServiceError

WATCH_RETRY_SECONDS = 2


def too_many_watched() -> ServiceError:
    """Returns the refusal to follow one job too many."""
    return ServiceError(
        Reason.UNAVAILABLE,
        "Too many tasks are being watched at the moment. Poll, or try again.",
        retry_after_seconds=str(WATCH_RETRY_SECONDS),
    )
