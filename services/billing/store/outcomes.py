"""What the functions of the ledger answer, counted for the metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.billing.domain import HoldState
from services.billing.metrics import HOLD_REQUESTS

OK = "OK"
"""The outcome of a function that succeeded; any other is a Reason."""

_REQUEST = {
    HoldState.CONFIRMED: "confirm",
    HoldState.CAPTURED: "capture",
    HoldState.RELEASED: "release",
    HoldState.EXPIRED: "expire",
}


def count_created(answers: Sequence[Mapping[str, Any]]) -> None:
    """Counts how requests for new holds ended."""
    for answer in answers:
        HOLD_REQUESTS["create", answer["outcome"]].inc()


def count_changed(states: Sequence[HoldState], answers: Sequence[Mapping[str, Any]]) -> None:
    """Counts how requests ended that holds be in these states. Answers say which request they are of."""
    for answer in answers:
        HOLD_REQUESTS[_REQUEST[states[answer["position"] - 1]], answer["outcome"]].inc()
