from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.common.clock import parse_moment, rfc3339, utc_now
from services.common.errors import Reason, ServiceError


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


@pytest.mark.parametrize(
    "text",
    ["2026-06-29T10:00:00.0019Z", "2026-06-29T12:00:00.001+02:00", "20260629T100000.001Z"],
)
def test_a_moment_is_read_in_utc_and_whole_milliseconds(text: str) -> None:
    assert parse_moment("start", text) == datetime(2026, 6, 29, 10, 0, 0, 1000, UTC)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("yesterday", "must be an ISO 8601 date and time with a time zone"),
        ("2026-06-29T10:00:00", "must be an ISO 8601 date and time with a time zone"),
        ("0001-01-01T00:00:00+10:00", "must be an ISO 8601 date and time with a time zone"),
        ("1969-12-31T23:59:59Z", "must not be before the year 1970"),
    ],
)
def test_what_is_no_moment_is_refused_under_the_name_of_its_field(text: str, rule: str) -> None:
    with pytest.raises(ServiceError) as refused:
        parse_moment("start", text)

    assert refused.value.reason is Reason.INVALID_FIELD
    assert refused.value.message.startswith(f"Field start {rule}")
    assert refused.value.message.endswith(f'It was "{text}".')
