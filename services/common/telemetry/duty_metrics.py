"""Duties: how often each ran with which result, how long it took, and when it last succeeded."""

import time

from services.common.telemetry.metrics import counter, gauge, histogram

_RUNS = counter(
    "reelgate_duty_runs_total",
    "Runs of a duty: `done` something, found nothing to do (`idle`), or `failed`.",
    labels=("duty", "outcome"),
)
_SECONDS = histogram(
    "reelgate_duty_seconds",
    "How long a run of a duty took, whatever its outcome.",
    labels=("duty",),
    bounds=(0.01, 0.05, 0.25, 1, 5, 30),
)
_LAST_SUCCESS = gauge(
    "reelgate_duty_last_success_timestamp_seconds",
    "When a run of a duty last did not fail, in Unix seconds; before the first, when the process began it.",
    labels=("duty",),
)


class Runs:
    """The runs of one duty."""

    def __init__(self, duty: str) -> None:
        self._done, self._idle, self._failed = (
            _RUNS.labels(duty, outcome) for outcome in ("done", "idle", "failed")
        )
        self._seconds = _SECONDS.labels(duty)
        self._last_success = _LAST_SUCCESS.labels(duty)
        self._last_success.set(time.time())

    def succeeded(self, *, done: int, seconds: float) -> None:
        """Counts a run that did so much."""
        (self._done if done else self._idle).inc()
        self._seconds.observe(seconds)
        self._last_success.set(time.time())

    def failed(self, *, seconds: float) -> None:
        """Counts a run that failed."""
        self._failed.inc()
        self._seconds.observe(seconds)
