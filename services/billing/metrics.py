"""What billing tells of itself beside what every process does."""

from services.common.telemetry.metrics import BILLING, counter

_CREATE_REFUSALS = (
    "ACCOUNT_NOT_FOUND", "CREDITS_INSUFFICIENT", "HOLD_MISMATCH", "KEY_NOT_FOUND", "SPEND_LIMIT_EXCEEDED",
)  # fmt: skip
_CHANGE_REFUSALS = (
    "AMOUNT_ABOVE_HOLD", "HOLD_CAPTURED", "HOLD_EXPIRED", "HOLD_MISMATCH", "HOLD_NOT_FOUND", "HOLD_RELEASED",
)  # fmt: skip
_HOLD_REQUESTS = counter(
    "reelgate_hold_requests_total",
    "What was asked of holds, each counted by itself though many come in one call, by outcome: `OK` or the reason of the"
    " refusal.",
    labels=("request", "outcome"),
    of=(BILLING,),
)
HOLD_REQUESTS = {
    (request, outcome): _HOLD_REQUESTS.labels(request, outcome)
    for request, refusals in (
        ("create", _CREATE_REFUSALS),
        *((change, _CHANGE_REFUSALS) for change in ("confirm", "capture", "release", "expire")),
    )
    for outcome in ("OK", *refusals)
}
MOVEMENTS = ("held", "captured", "released", "expired", "refunded")
_CREDITS = counter(
    "reelgate_credits_total",
    "Credits that moved; what a capture leaves of a hold counts as released. One that is repeated counts once.",
    labels=("movement", "environment"),
    of=(BILLING,),
)
CREDITS_MOVED = {
    (movement, environment): _CREDITS.labels(movement, environment)
    for movement in MOVEMENTS
    for environment in ("live", "test")
}
