"""Which credits the answers of the ledger's functions moved, for the metrics."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.billing.domain import HoldState
from services.billing.metrics import CREDITS_MOVED
from services.billing.store.outcomes import OK
from services.common.money import MICROS_PER_CREDIT

Answer = Mapping[str, Any]
"""A hold as a function left it, with `state_before` and `refunded_micros_before`: as it was, or None if it was not."""

_RESOLVED = {
    HoldState.CAPTURED: "captured",
    HoldState.RELEASED: "released",
    HoldState.EXPIRED: "expired",
}


def count_movements(answers: Sequence[Answer]) -> None:
    """Counts what moved, each movement of a hold once, however often a batch asked for it."""
    moved = {
        (answer["hold_id"], movement): (answer["environment"], micros)
        for answer in answers
        if answer["outcome"] == OK
        for movement, micros in _movements(answer)
    }
    for (_, movement), (environment, micros) in moved.items():
        CREDITS_MOVED[movement, environment].inc(micros / MICROS_PER_CREDIT)


def _movements(answer: Answer) -> Iterator[tuple[str, int]]:
    before, amount_micros = answer["state_before"], answer["amount_micros"]
    if before is None:
        yield "held", amount_micros
        return
    movement = _RESOLVED.get(answer["state"])
    if movement is not None and before not in _RESOLVED:
        captured_micros = answer["captured_micros"]
        yield movement, captured_micros if movement == "captured" else amount_micros
        if movement == "captured" and captured_micros < amount_micros:
            yield "released", amount_micros - captured_micros
    refunded_micros = answer["refunded_micros"] - answer["refunded_micros_before"]
    if refunded_micros:
        yield "refunded", refunded_micros
