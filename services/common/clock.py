"""Time, passed in wherever it matters. Only the database clock decides what is due and who holds a lease."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from services.common.errors import invalid_field

YEAR_MIN = 1970
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Returns the present moment, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def rfc3339(moment: datetime) -> str:
    """Renders a moment the way both contracts do: UTC, always milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def whole_milliseconds(moment: datetime) -> datetime:
    """Cuts off what the contracts do not show."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def parse_moment(field: str, text: str) -> datetime:
    """Returns an ISO 8601 moment in UTC and whole milliseconds.

    Refuses with INVALID_FIELD text that is no such moment, has no time zone or is before YEAR_MIN.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        utc = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        rule = "must be an ISO 8601 date and time with a time zone, such as 2026-07-01T00:00:00.000Z"
        raise invalid_field(field, rule, text) from None
    if utc.year < YEAR_MIN:
        raise invalid_field(field, f"must not be before the year {YEAR_MIN}", text)
    return whole_milliseconds(utc)
