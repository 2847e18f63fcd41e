"""The states of a job, as its customer and as its workers see them, and the moves between them."""

from enum import StrEnum


class Status(StrEnum):
    """Where a job is, as its customer sees it."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class State(StrEnum):
    """The last durable fact about an unfinished job. The two ends of a job have no state: its work row is gone."""

    PENDING = "pending"
    """Paid for and stored; no provider has a task of it."""
    SUBMITTING = "submitting"
    """An attempt is on record; its provider may or may not have been asked."""
    PROCESSING = "processing"
    """The provider has the task."""
    STORED = "stored"
    """The result lies under our own address; the credits are not yet taken."""
    FAILING = "failing"
    """There will be no result; the credits are not yet given back."""


NEXT: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.SUBMITTING, State.FAILING}),
    State.SUBMITTING: frozenset({State.PENDING, State.PROCESSING, State.FAILING}),
    State.PROCESSING: frozenset({State.PENDING, State.STORED, State.FAILING}),
    State.STORED: frozenset({State.FAILING}),
    State.FAILING: frozenset(),
}
"""Moves between states. From STORED a job completes, unless its hold is gone; from FAILING it fails.

From PROCESSING a job goes back to PENDING if its provider could not render it: its customer sees it in process all the while.
"""
assert NEXT.keys() == set(State)

GIVEN_UP_BY_OPERATORS = frozenset({State.PENDING, State.SUBMITTING, State.PROCESSING})
"""From where an operator may fail a job. One in STORED is about to complete."""
assert all(State.FAILING in NEXT[state] for state in GIVEN_UP_BY_OPERATORS)
