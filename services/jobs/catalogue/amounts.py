"""Amounts of US dollars as the file has them: decimals, never floats."""

import re
from decimal import Decimal

MICROS_PER_USD = 1_000_000
USD_MAX = 100
"""Nothing in the file costs more. What does is written in another unit."""
_DECIMAL = re.compile(r"\d{1,12}(\.\d+)?")
_DECIMALS_MAX = 6


def usd_micros(value: object) -> int:
    """Returns an amount in millionths of a US dollar. Raises ValueError, whose text says what to write instead."""
    text = value.strip() if isinstance(value, str) else ""
    if _DECIMAL.fullmatch(text) is None:
        shown = text[:40] or "no amount"
        raise ValueError(
            f'is {shown}, not an amount of US dollars; write a decimal without a unit, such as "0.05"'
        )
    if len(text.partition(".")[2].rstrip("0")) > _DECIMALS_MAX:
        raise ValueError(f"has more than {_DECIMALS_MAX} decimals; round it to millionths of a US dollar")
    amount = Decimal(text)
    if amount > USD_MAX:
        raise ValueError(
            f'is {text} US dollars, above {USD_MAX}; write US dollars, not cents or millionths, such as "0.05"'
        )
    return int(amount * MICROS_PER_USD)
