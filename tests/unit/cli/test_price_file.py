from pathlib import Path

import pytest
from reelgate.internal.prices.v1.price_pb2 import Price

from services.cli.errors import CommandError
from services.cli.price_file import read_price_file

PRICES_OF_BILLING = Path(__file__).parents[3] / "services" / "billing" / "prices.yaml"


def test_the_file_that_billing_starts_with_can_be_read() -> None:
    file = read_price_file(PRICES_OF_BILLING)

    assert file.version == "2026-11"
    assert (
        Price(model="pro", resolution="1080p", environment="live", micros_per_second=50_000_000)
        in file.prices
    )
    assert {price.environment for price in file.prices} == {"live", "test"}


def test_a_price_is_read_exactly(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("version: v\ncredits_per_second: {live: {mini: {480p: 0.017500}}}")

    file = read_price_file(path)

    assert file.prices == [
        Price(model="mini", resolution="480p", environment="live", micros_per_second=17_500)
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("version: [", "cannot be read"),
        ("", "does not fit"),
        ("version: v", "credits_per_second: Field required"),
        ("version: v\ncredits_per_second: {}\ncurrency: EUR", "currency: Extra inputs"),
        ("version: v\ncredits_per_second: {live: {mini: {480p: ten}}}", "live.mini.480p: .*'ten' is not"),
        ("version: v\ncredits_per_second: {live: {mini: 5}}", "live.mini: Input should be"),
    ],
)
def test_a_file_that_does_not_fit_is_told_with_the_place_in_one_line(
    text: str, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)

    with pytest.raises(CommandError, match=complaint) as told:
        read_price_file(path)

    assert "\n" not in str(told.value)
