"""What webhooks tells of itself beside what every process does."""

from services.common.telemetry.metrics import LONG_SECONDS, WEBHOOKS_DISPATCHER, counter, histogram
from services.webhooks.domain import Outcome

_ATTEMPTS = counter(
    "reelgate_webhook_attempts_total",
    "Attempts at deliveries, by what became of the delivery.",
    labels=("outcome",),
    of=(WEBHOOKS_DISPATCHER,),
)
ATTEMPTED = {outcome: _ATTEMPTS.labels(outcome.value) for outcome in Outcome}
DELAY = histogram(
    "reelgate_webhook_delay_seconds",
    "From when an event was committed until its receiver had taken it, of events that were delivered at the first"
    " attempt: a later one waits for its receiver.",
    bounds=LONG_SECONDS,
    of=(WEBHOOKS_DISPATCHER,),
)
