"""The price file that is shipped, and what is refused in its place."""

from pathlib import Path

import pytest

import services.billing
from services.billing.domain import NewPrices
from services.billing.prices import PriceFileError, load_prices

PRICES_FILE = Path(services.billing.__file__).parent / "prices.yaml"


def micros_per_second(new: NewPrices, environment: str) -> dict[tuple[str, str], int]:
    return {
        (price.model, price.resolution): price.micros_per_second
        for price in new.prices
        if price.environment == environment
    }


def test_the_contracts_rates_hold_in_both_environments() -> None:
    new = load_prices(PRICES_FILE)

    credits_per_second = {
        ("pro", "480p"): 10,
        ("pro", "720p"): 20,
        ("pro", "1080p"): 50,
        ("fast", "480p"): 8,
        ("fast", "720p"): 16,
        ("mini", "480p"): 5,
        ("mini", "720p"): 10,
        ("seedance-2.0-pro", "480p"): 0.035,
        ("seedance-2.0-pro", "720p"): 0.07,
        ("seedance-2.0-pro", "1080p"): 0.175,
        ("seedance-2.0-fast", "480p"): 0.028,
        ("seedance-2.0-fast", "720p"): 0.056,
        ("seedance-2.0-mini", "480p"): 0.0175,
        ("seedance-2.0-mini", "720p"): 0.035,
    }
    expected = {offer: round(rate * 1_000_000) for offer, rate in credits_per_second.items()}
    assert (new.version, new.valid_from, len(new.prices)) == ("2026-11", None, 28)
    assert micros_per_second(new, "live") == micros_per_second(new, "test") == expected


def test_a_price_keeps_every_decimal(tmp_path: Path) -> None:
    new = load_prices(edited(tmp_path, "480p: 5,", "480p: 0.017501,"))

    assert micros_per_second(new, "live")["mini", "480p"] == 17_501


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("480p: 5,", "480p: 0,", "credits_per_second.live.mini.480p: Input should be greater than 0"),
        ("480p: 5,", "480p: -5,", "credits_per_second.live.mini.480p: Input should be greater than 0"),
        ("480p: 5,", "480p: free,", "credits_per_second.live.mini.480p: Input should be a valid decimal"),
        ("480p: 5,", "480p: nan,", "credits_per_second.live.mini.480p: Input should be a finite number"),
        (
            "480p: 5,",
            "480p: 0.0000001,",
            "credits_per_second.live.mini.480p: Decimal input should have no more than 6 decimal places",
        ),
        (
            "480p: 5,",
            "480p: 1000001,",
            "credits_per_second.live.mini.480p: Input should be less than or equal to 1000000",
        ),
        ("480p: 5,", "4k: 5,", "credits_per_second.live.mini.4k.[key]: Input should be '480p'"),
        ("  test:", "  tset:", "credits_per_second.tset.[key]: Input should be 'live' or 'test'"),
        (
            "    mini: {480p: 5, 720p: 10}",
            "    mini: {}",
            "credits_per_second.live.mini: Dictionary should have",
        ),
        ('version: "2026-11"', 'version: ""', "version: String should have at least 1 character"),
        (
            "version:",
            "price_version:",
            "version: Field required\nprice_version: Extra inputs are not permitted",
        ),
        ("credits_per_second:\n", "credits_per_second: [\n", "while parsing"),
    ],
)
def test_a_wrong_file_is_refused_by_place(tmp_path: Path, old: str, new: str, problem: str) -> None:
    with pytest.raises(PriceFileError) as refused:
        load_prices(edited(tmp_path, old, new))

    assert problem in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError, match="No such file"):
        load_prices(tmp_path / "none.yaml")


def edited(folder: Path, old: str, new: str) -> Path:
    text = PRICES_FILE.read_text(encoding="utf-8")
    assert old in text
    path = folder / "prices.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path
