from datetime import UTC, datetime

import pytest

from services.webhooks.clients import retry_after_seconds

NOW = datetime(2026, 11, 22, 10, 0, 0, 500_000, UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("Sun, 22 Nov 2026 10:02:00 GMT", 120),
        ("Sun, 22 Nov 2026 10:02:00 -0000", 120),
        ("Sun, 22 Nov 2026 09:00:00 GMT", 0),
        ("", 0),
        ("-5", 0),
        ("1.5", 0),
        ("²", 0),
        ("9" * 8_000, 0),
        ("soon", 0),
        ("Sun, 99 Nov 99999999999999999999 10:02:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_anything_else_counts_for_nothing(
    text: str, seconds: int
) -> None:
    assert retry_after_seconds(text, now=NOW) == seconds
