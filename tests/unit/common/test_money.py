import pytest

from services.common.money import in_credits


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0"),
        (50_000_000, "50"),
        (12_500_000, "12.5"),
        (1_050_000, "1.05"),
        (1, "0.000001"),
        (10**18, "1000000000000"),
    ],
)
def test_whole_credits_print_whole_and_others_as_decimals(micros: int, text: str) -> None:
    assert in_credits(micros) == text
