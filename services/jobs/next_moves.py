"""What becomes of a job and its hold, wherever the two are: one table, and nothing that is not in it.

In the ordinary course they are where AGREE is written. The rest comes of a database that was restored and the other
not, or of a hold that somebody resolved by hand.
"""

from enum import StrEnum

from services.jobs.domain.ledger import UNRESOLVED, Hold, HoldState, JobRecord
from services.jobs.domain.states import State, Status


class Place(StrEnum):
    """Where a job is."""

    NOWHERE = "no job"
    PENDING = "pending"
    SUBMITTING = "submitting"
    PROCESSING = "processing"
    STORED = "stored"
    FAILING = "failing"
    COMPLETED = "completed"
    FREE = "completed, charged nothing"
    FAILED = "failed"


class Holding(StrEnum):
    """Where the credits of a job are."""

    NONE = "no hold"
    OPEN = "set aside"
    TAKEN = "captured"
    RETURNED = "captured and all refunded"
    BACK = "released or expired"


class Move(StrEnum):
    """What is to be done."""

    AGREE = "nothing: they agree"
    HOLD = "set the credits aside again"
    GIVE_UP = "give the job up"
    CAPTURE = "take what the job was charged"
    CHARGE = "set the credits aside again and take what the job was charged"
    WAIVE = "charge the job nothing"
    RELEASE = "release the hold"
    RETURN = "refund what was captured"


_ROWS: dict[Place, tuple[Move, Move, Move, Move, Move]] = {
    # In the order of Holding. A job that was paid for before its database was restored is rendered again and keeps
    # what was paid; one whose credits are gone cannot be paid for any more.
    Place.NOWHERE: (Move.AGREE, Move.RELEASE, Move.RETURN, Move.AGREE, Move.AGREE),
    Place.PENDING: (Move.HOLD, Move.AGREE, Move.AGREE, Move.AGREE, Move.GIVE_UP),
    Place.SUBMITTING: (Move.HOLD, Move.AGREE, Move.AGREE, Move.AGREE, Move.GIVE_UP),
    Place.PROCESSING: (Move.HOLD, Move.AGREE, Move.AGREE, Move.AGREE, Move.GIVE_UP),
    Place.STORED: (Move.HOLD, Move.AGREE, Move.AGREE, Move.AGREE, Move.GIVE_UP),
    Place.FAILING: (Move.AGREE, Move.RELEASE, Move.RETURN, Move.AGREE, Move.AGREE),
    Place.COMPLETED: (Move.CHARGE, Move.CAPTURE, Move.AGREE, Move.AGREE, Move.WAIVE),
    Place.FREE: (Move.AGREE, Move.RELEASE, Move.RETURN, Move.AGREE, Move.AGREE),
    Place.FAILED: (Move.AGREE, Move.RELEASE, Move.RETURN, Move.AGREE, Move.AGREE),
}
NEXT_MOVES: dict[tuple[Place, Holding], Move] = {
    (place, holding): move for place, row in _ROWS.items() for holding, move in zip(Holding, row, strict=True)
}
assert NEXT_MOVES.keys() == {(place, holding) for place in Place for holding in Holding}


def next_move(job: JobRecord | None, hold: Hold | None) -> Move:
    """Returns what is to be done about a job and its hold."""
    return NEXT_MOVES[place_of(job), holding_of(hold)]


def place_of(job: JobRecord | None) -> Place:
    """Returns where a job is. One that has ended is so whatever is left of its work."""
    if job is None:
        return Place.NOWHERE
    if job.status is Status.FAILED:
        return Place.FAILED
    if job.status is Status.COMPLETED:
        return Place.COMPLETED if job.charged_micros else Place.FREE
    return Place((job.state or State.PENDING).value)


def holding_of(hold: Hold | None) -> Holding:
    """Returns where the credits of a hold are."""
    if hold is None:
        return Holding.NONE
    if hold.state in UNRESOLVED:
        return Holding.OPEN
    if hold.state is HoldState.CAPTURED:
        return Holding.TAKEN if hold.refunded_micros < hold.captured_micros else Holding.RETURNED
    return Holding.BACK


def kept_micros(hold: Hold | None) -> int:
    """Returns the micro-credits of a hold that its customer does not have: set aside, or taken and not refunded."""
    if hold is None:
        return 0
    if hold.state in UNRESOLVED:
        return hold.amount_micros
    return hold.captured_micros - hold.refunded_micros


def refunds_unknown_micros(job: JobRecord | None, hold: Hold | None) -> int:
    """Returns by how much billing refunded more than the job knows of; negative: less than the job was told of."""
    if job is None or hold is None or not job.charged_micros or job.charged_micros != hold.captured_micros:
        return 0
    if hold.refunded_micros < job.returned_micros:
        return hold.refunded_micros - job.returned_micros
    return max(0, hold.refunded_micros - job.returned_micros - job.refunds_waiting_micros)
