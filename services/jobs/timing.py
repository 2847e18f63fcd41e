"""How long steps wait, and when they give up."""

from services.common.backoff import backoff_seconds
from services.upstream.provider import TASK_SECONDS_MAX

LEASE_SECONDS = 15.0
"""Another worker takes over the job of a dead worker after this time."""
RENEW_SECONDS = 4.0
assert 3 * RENEW_SECONDS < LEASE_SECONDS, "a lease must outlive two missed renewals"

SUBMIT_TIMEOUT_SECONDS = 20.0
SETTLE_SECONDS = 30.0
"""An attempt must be this old before a task that cannot be found is known not to exist."""
assert SETTLE_SECONDS > SUBMIT_TIMEOUT_SECONDS, "a request in flight must not be taken for lost"
SUBMIT_START_SECONDS = SETTLE_SECONDS - SUBMIT_TIMEOUT_SECONDS
"""How long after an attempt was opened its provider may be asked. A worker that was paused for longer must not ask."""
assert SUBMIT_START_SECONDS < LEASE_SECONDS, "only the lease that opened an attempt may ask its provider"
FIND_TIMEOUT_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 2.0

CHECK_TIMEOUT_SECONDS = 10.0
FIRST_CHECK_SECONDS = 8.0
CHECK_SECONDS_MAX = 60.0
"""A thousand tasks then cost 17 calls a second, within the 20 that ModelArk allows."""

START_DEADLINE_SECONDS = 6 * 3600.0
"""A job fails if no provider has taken it this long after it got a slot."""
WAIT_SECONDS_MAX = 72 * 3600.0
"""A job fails if the caps of its account and key kept it waiting this long for a slot."""
RENDER_DEADLINE_SECONDS = TASK_SECONDS_MAX + 3600.0
"""A task that still runs is given up then: an hour after the longest time that a provider keeps one."""
STRAY_SECONDS_MAX = RENDER_DEADLINE_SECONDS
"""A task that no job waits for is over by then, even if its provider never answered."""
CONFIRMED_HOLD_SECONDS = int(RENDER_DEADLINE_SECONDS) + 24 * 3600
"""How long a hold lasts from when its attempt is opened: past the last deadline, plus a day for our own outages."""
assert CONFIRMED_HOLD_SECONDS > RENDER_DEADLINE_SECONDS > TASK_SECONDS_MAX, (
    "a hold must outlive the task it pays for"
)
assert CONFIRMED_HOLD_SECONDS > WAIT_SECONDS_MAX + START_DEADLINE_SECONDS, (
    "a hold must outlive the wait for a slot"
)

CANCEL_TIMEOUT_SECONDS = 3.0
"""For both calls to a provider while a customer waits: look at the task, and stop it."""

STAGED_SECONDS = 3600.0
"""A file this old is not being staged any more: fetching, probing and storing take less time."""

WALK_REST_SECONDS = 0.05
"""Between two batches of a busy worker: claims, moves of one kind, events that it hands over. Jobs that come meanwhile go
together. A job that is alone waits for none."""

PARKED_SECONDS = 120
"""A job that waits for a route and is not called looks for one itself after this time."""
PAUSE_SECONDS_MAX = 60.0
"""For no longer a credential is left alone because its provider asks for it."""
CALLBACK_WAIT_SECONDS = 3600.0
"""For how long a provider that lists no tasks may name, in an authentic callback, the task of an order without an answer."""
assert CALLBACK_WAIT_SECONDS < RENDER_DEADLINE_SECONDS

RENDERS_MAX = 3
"""Tasks that providers may take for one job. If they can render none of them, the job fails."""

BROKEN_WAIT_SECONDS = 60.0
RETRY_FIRST_SECONDS = 0.5
RETRY_SECONDS_MAX = 30.0

CLAIMS_MAX = 5
"""A job may be claimed this many times in a row, seconds apart, without progress. Then it is set aside, longer each time."""
ASIDE_SECONDS_FIRST = 60.0
ASIDE_SECONDS_MAX = 3600.0
STALL_SECONDS_MAX = 6 * 3600.0
"""A job fails after this time without progress, outages of our own apart."""


def retry_seconds(failures: int) -> float:
    """Returns the wait before a step is tried again, growing with the failures so far."""
    return backoff_seconds(failures + 1, first=RETRY_FIRST_SECONDS, most=RETRY_SECONDS_MAX)


def check_seconds(checks: int) -> float:
    """Returns the wait before a provider is asked again, growing with how often it was asked."""
    return backoff_seconds(checks + 1, first=FIRST_CHECK_SECONDS, most=CHECK_SECONDS_MAX)


def aside_seconds(claims: int) -> float:
    """Returns the wait before a job is claimed again after this many claims in a row without progress."""
    if claims <= CLAIMS_MAX:
        return retry_seconds(claims - 1)
    return backoff_seconds(claims - CLAIMS_MAX, first=ASIDE_SECONDS_FIRST, most=ASIDE_SECONDS_MAX)
