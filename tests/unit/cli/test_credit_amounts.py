import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.credit_amounts import parse_credits, show_change, show_credits
from services.common.money import in_credits


@pytest.mark.parametrize(
    ("text", "micros"),
    [("0", 0), ("100", 100_000_000), ("1.05", 1_050_000), ("0.000001", 1), ("1e3", 1_000_000_000)],
)
def test_credits_are_read_exactly(text: str, micros: int) -> None:
    assert parse_credits(text) == micros


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ten", "is not a number"),
        ("", "is not a number"),
        ("-1", "is not between"),
        ("nan", "is not between"),
        ("Infinity", "is not between"),
        ("1000000000.000001", "is not between"),
        ("0.0000001", "more than 6 decimal places"),
    ],
)
def test_an_amount_that_cannot_be_kept_exactly_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_credits(text)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0"),
        (100_000_000, "100"),
        (1_050_000, "1.05"),
        (1_234_000_000_001, "1,234,000.000001"),
        (-1_050_000, "-1.05"),
        (-1, "-0.000001"),
    ],
)
def test_credits_are_shown_with_the_places_they_need(micros: int, text: str) -> None:
    assert show_credits(micros) == text


def test_a_change_shows_its_sign() -> None:
    assert [show_change(micros) for micros in (2_500_000, 0, -1_234_000_000)] == ["+2.5", "0", "-1,234"]


@given(micros=st.integers(min_value=0, max_value=10**15))
def test_what_programs_are_shown_is_exact(micros: int) -> None:
    assert parse_credits(in_credits(micros)) == micros
    assert micros == 0 or in_credits(-micros) == f"-{in_credits(micros)}"
