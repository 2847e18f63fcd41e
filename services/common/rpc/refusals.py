"""What a caller is told of an error that a service met."""

from services.common.errors import Reason, ServiceError, outage
from services.common.postgres.connection import DATABASE_OUTAGES


def refusal_of(error: BaseException) -> ServiceError:
    """Returns what a caller is told of an error: itself if it is a refusal, or else that something failed."""
    return error if isinstance(error, ServiceError) else outage(_reason_of(error))


def _reason_of(error: BaseException) -> Reason:
    if isinstance(error, DATABASE_OUTAGES):
        return Reason.UNAVAILABLE
    return Reason.DEADLINE_EXCEEDED if isinstance(error, TimeoutError) else Reason.INTERNAL
