"""Credits and micro-credits. Inside, an amount is a whole number of micro-credits; people and customers read credits."""

MICROS_PER_CREDIT = 1_000_000


def in_credits(micros: int) -> str:
    """Returns an amount in credits as a person writes it: `50`, `12.5`, `-0.25`."""
    whole, rest = divmod(abs(micros), MICROS_PER_CREDIT)
    sign = "-" if micros < 0 else ""
    return f"{sign}{whole}.{rest:06d}".rstrip("0") if rest else f"{sign}{whole}"
