"""How long steps wait, and for how long they go on."""

from services.common.backoff import backoff_seconds
from services.upstream.provider import TASK_SECONDS_MAX

LEASE_SECONDS = 15.0
"""A job of a dead worker is taken over after this long."""
RENEW_SECONDS = 4.0
assert 3 * RENEW_SECONDS < LEASE_SECONDS, "a lease must outlive two missed renewals"

SUBMIT_TIMEOUT_SECONDS = 20.0
SETTLE_SECONDS = 30.0
"""How old an attempt must be before a task that cannot be found surely does not exist."""
assert SETTLE_SECONDS > SUBMIT_TIMEOUT_SECONDS, "a request still under way must not be taken for lost"
SUBMIT_START_SECONDS = SETTLE_SECONDS - SUBMIT_TIMEOUT_SECONDS
"""How long after an attempt was opened its provider may still be asked: whoever stood still longer must not."""
assert SUBMIT_START_SECONDS < LEASE_SECONDS, "only the lease that opened an attempt may ask its provider"
FIND_TIMEOUT_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 2.0

CHECK_TIMEOUT_SECONDS = 10.0
FIRST_CHECK_SECONDS = 8.0
CHECK_SECONDS_MAX = 60.0
"""A thousand tasks then cost 17 questions a second, within the 20 that ModelArk allows."""

START_DEADLINE_SECONDS = 6 * 3600.0
"""A job that had a place at a provider for so long, and that no provider has taken, fails."""
WAIT_SECONDS_MAX = 72 * 3600.0
"""A job that has waited so long for a place at a provider, because of the caps of its account and key, fails."""
RENDER_DEADLINE_SECONDS = TASK_SECONDS_MAX + 3600.0
"""A task that is still running then is given up: an hour after the longest a provider keeps one."""
STRAY_SECONDS_MAX = RENDER_DEADLINE_SECONDS
"""A task that no job waits for is surely over by then, whether anybody could tell or not."""
HOLD_SECONDS = int(RENDER_DEADLINE_SECONDS) + 24 * 3600
"""How long credits stay set aside once an attempt is opened: past its last deadline, and a day for our own outages."""
assert HOLD_SECONDS > RENDER_DEADLINE_SECONDS > TASK_SECONDS_MAX, "a hold must outlive whatever it pays for"
assert HOLD_SECONDS > WAIT_SECONDS_MAX + START_DEADLINE_SECONDS, "a hold must outlive the wait for a place"

CANCEL_TIMEOUT_SECONDS = 3.0
"""For what a provider is asked while a customer waits: where the task is, and to stop it."""

STAGED_SECONDS = 3600.0
"""What has been staged for so long is no longer being staged: longer than fetching, probing and storing may take."""

BROKEN_WAIT_SECONDS = 60.0
RETRY_FIRST_SECONDS = 0.5
RETRY_SECONDS_MAX = 30.0

CLAIMS_MAX = 5
"""So often in a row a job is claimed, within seconds, without getting on. After that it is set aside, each time for longer."""
ASIDE_SECONDS_FIRST = 60.0
ASIDE_SECONDS_MAX = 3600.0
STALL_SECONDS_MAX = 6 * 3600.0
"""A job that did not get on for so long, through no outage of our own, fails."""


def retry_seconds(failures: int) -> float:
    """Returns the wait before a step is tried again, growing with the failures so far."""
    return backoff_seconds(failures + 1, first=RETRY_FIRST_SECONDS, most=RETRY_SECONDS_MAX)


def check_seconds(checks: int) -> float:
    """Returns the wait before a provider is asked again, growing with how often it was asked."""
    return backoff_seconds(checks + 1, first=FIRST_CHECK_SECONDS, most=CHECK_SECONDS_MAX)


def aside_seconds(claims: int) -> float:
    """Returns the wait before a job is claimed again that so many claims in a row did not move."""
    if claims <= CLAIMS_MAX:
        return retry_seconds(claims - 1)
    return backoff_seconds(claims - CLAIMS_MAX, first=ASIDE_SECONDS_FIRST, most=ASIDE_SECONDS_MAX)
