"""Credits as people write them, converted to and from micro-credits, never through a float."""

from decimal import Decimal, InvalidOperation

from services.common.money import MICROS_PER_CREDIT

CREDITS_MAX = 1_000_000_000


def parse_credits(text: str) -> int:
    """Returns micro-credits. Raises ValueError unless `text` is a decimal of 0 to CREDITS_MAX with at most 6 places."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number of credits, such as 100 or 1.05") from None
    if not amount.is_finite() or not 0 <= amount <= CREDITS_MAX:
        raise ValueError(f"{text} is not between 0 and {CREDITS_MAX:,} credits")
    micros = amount * MICROS_PER_CREDIT
    if micros != int(micros):
        raise ValueError(f"{text} has more than 6 decimal places")
    return int(micros)


def show_credits(micros: int) -> str:
    """Returns credits with as many places as they need: `100`, `-1,000.05`."""
    sign = "-" if micros < 0 else ""
    whole, part = divmod(abs(micros), MICROS_PER_CREDIT)
    return f"{sign}{whole:,}" + (f".{part:06d}".rstrip("0") if part else "")


def show_change(micros: int) -> str:
    """Returns credits with their sign: `+100`, `-1.05`, `0`."""
    return f"+{show_credits(micros)}" if micros > 0 else show_credits(micros)
