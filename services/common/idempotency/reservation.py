"""What a request with an idempotency key is given before it runs, so that a second run continues the first."""

from contextvars import ContextVar
from dataclasses import dataclass

from services.common.errors import Reason, ServiceError


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """The name of what a request creates, fixed before it runs."""

    ulid: str
    """However often the request is run, the same."""
    is_repeated: bool
    """Whether the request may have run before, and may have created it."""


@dataclass(frozen=True, kw_only=True)
class ReservedId:
    """The id of what a request creates."""

    id: str
    is_repeated: bool
    """Whether it may exist already."""


class ReservationSpentError(ServiceError):
    """What was reserved was not created and no longer can be. The request may run again with another reservation."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.UNAVAILABLE, message)


reservation: ContextVar[Reservation | None] = ContextVar("reservation", default=None)
"""That of the call being served. None: it came without an idempotency key."""


def reserved_id(prefix: str) -> ReservedId | None:
    """Returns the id that is reserved for what the call being served creates, if it came with an idempotency key."""
    found = reservation.get()
    if found is None:
        return None
    return ReservedId(id=f"{prefix}_{found.ulid}", is_repeated=found.is_repeated)
