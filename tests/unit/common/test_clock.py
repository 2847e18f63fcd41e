from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.common.clock import rfc3339, utc_now


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 6, 29, 10, 0, tzinfo=UTC), "2026-06-29T10:00:00.000Z"),
        (datetime(2026, 6, 29, 10, 0, 0, 999_999, UTC), "2026-06-29T10:00:00.999Z"),
        (datetime(2026, 6, 29, 1, 30, 0, 1000, timezone(timedelta(hours=2))), "2026-06-28T23:30:00.001Z"),
    ],
)
def test_moments_print_in_utc_always_with_milliseconds(moment: datetime, text: str) -> None:
    assert rfc3339(moment) == text


def test_now_is_in_utc() -> None:
    assert utc_now().utcoffset() == timedelta(0)
