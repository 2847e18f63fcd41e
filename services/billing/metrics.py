"""What billing tells of itself beside what every process does."""

from services.common.telemetry.metrics import BILLING, counter

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
