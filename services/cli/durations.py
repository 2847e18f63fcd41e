"""Durations as people write them: a whole number and a unit."""

import re

SECONDS_BY_UNIT = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"([0-9]{1,9})([dhms])")


def parse_duration(text: str) -> int:
    """Returns seconds. Raises ValueError unless `text` is like `90s`, `10m`, `24h` or `7d`."""
    matched = _DURATION.fullmatch(text)
    if matched is None:
        raise ValueError(f"{text!r} is not a duration, such as 90s, 10m, 24h or 7d")
    count, unit = matched.groups()
    return int(count) * SECONDS_BY_UNIT[unit]


def show_duration(seconds: int) -> str:
    """Returns a duration in its two largest units: `45s`, `2h 5m`, `3d`."""
    parts = []
    for unit, unit_seconds in SECONDS_BY_UNIT.items():
        count, seconds = divmod(seconds, unit_seconds)
        parts.append((count, unit))
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count) or "0s"
