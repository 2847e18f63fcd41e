"""How long calls, connections and the end of a process may take. Callers, servers, the edge and deployments share them."""

from typing import Final

ANSWER_SECONDS_MAX: Final = 14
"""How long a call may take that does not ask to wait. The edge gives calls this deadline and waits a second longer."""
WAIT_SECONDS_MAX: Final = 65
"""The same for a call that asks to wait, which it may for 60 seconds."""
CONNECTION_AGE_SECONDS: Final = 60.0
"""A server ends a connection at this age, give or take a tenth. Its caller then looks the name up again, and so finds
processes that were added."""
CONNECTION_GRACE_SECONDS: Final = 5.0
"""How much longer than the longest call a connection that has reached its age may live."""
LOOK_UP_SECONDS_MIN: Final = 1.0
"""How long a caller waits at least between two look-ups of a name."""
MOVE_SECONDS: Final = 2.0
"""How long calls wait, once, when none of a name's addresses answers any more: others may be about to."""
DRAIN_SECONDS: Final = ANSWER_SECONDS_MAX + 2.0
"""How long a stopping server lets running calls finish. A caller whose call was cancelled sooner knows that it was never
begun."""
FAREWELL_SECONDS: Final = 1.0
"""How long a stopping server that has nothing to finish waits at the most for its callers to hear its farewell (GOAWAY)."""
CLOSE_SECONDS_MAX: Final = 8.0
"""How long a process takes at the most to close its pools and connections and to export its last spans, after everything
else."""


def grace_seconds(*, notice_seconds: float, work_seconds: float = 0.0) -> float:
    """Returns how long a process may take to end after SIGTERM; `work_seconds` is what it takes to hand over its work."""
    return notice_seconds + DRAIN_SECONDS + work_seconds + CLOSE_SECONDS_MAX
