import pytest

from services.cli.durations import parse_duration, show_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("10m", 600), ("24h", 86_400), ("30d", 2_592_000)]
)
def test_a_duration_is_a_whole_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "1.5h", "10 m", "10M", "1h30m", "٣m", "1234567890s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90s, 10m, 24h or 7d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3_725, "1h 2m"),
        (3_605, "1h"),
        (86_399, "23h 59m"),
        (93_600, "1d 2h"),
    ],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds: int, text: str) -> None:
    assert show_duration(seconds) == text
