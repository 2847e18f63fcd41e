"""The catalogue that is shipped, and what is refused in its place."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.jobs.catalogue import CatalogueError, load_catalogue
from services.jobs.domain import price_micros
from tests.unit.jobs.samples import CATALOGUE, CATALOGUE_FILE, INPUT, UPSTREAM_NAMES


def test_models_stand_strongest_first() -> None:
    assert list(CATALOGUE.models) == ["pro", "fast", "mini"]


def test_every_model_has_a_name_at_the_provider() -> None:
    assert {model: dict(names) for model, names in UPSTREAM_NAMES.items()} == {
        "pro": {"ark": "dreamina-seedance-2-0-260128"},
        "fast": {"ark": "dreamina-seedance-2-0-fast-260128"},
        "mini": {"ark": "dreamina-seedance-2-0-mini-260615"},
    }


@pytest.mark.parametrize(
    ("model", "seconds", "resolution", "credits"),
    [
        ("mini", 5, "720p", 50),
        ("pro", 4, "480p", 40),
        ("fast", 10, "720p", 160),
        ("pro", 5, "720p", 100),
        ("pro", 15, "1080p", 750),
        ("fast", 4, "480p", 32),
        ("mini", 15, "480p", 75),
    ],
)
def test_the_contracts_prices_hold(model: str, seconds: int, resolution: str, credits: int) -> None:  # noqa: A002 - the contract's word
    wanted = replace(
        INPUT, duration_seconds=seconds, resolution=resolution, image_urls=("https://a.example/1",) * 2
    )

    assert price_micros(CATALOGUE.model(model), wanted)[1] == credits * 1_000_000


def test_a_price_keeps_every_decimal(tmp_path: Path) -> None:
    catalogue, _ = load_catalogue(edited(tmp_path, "480p: 5,", "480p: 0.017501,"))

    assert catalogue.model("mini").micros_per_second["480p"] == 17_501


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("{480p: 5, 720p: 10}", "{480p: 5}", "models.mini: Value error, no price for 720p"),
        (
            "{480p: 5, 720p: 10}",
            "{480p: 5, 720p: 10, 1080p: 25}",
            "models.mini: Value error, a price for 1080p, which is not among the resolutions",
        ),
        ("480p: 5,", "480p: 0,", "models.mini.credits_per_second.480p: Input should be greater than 0"),
        ("480p: 5,", "480p: free,", "models.mini.credits_per_second.480p: Input should be a valid decimal"),
        (
            "480p: 5,",
            "480p: 0.0000001,",
            "models.mini.credits_per_second.480p: Decimal input should have no more than 6 decimal places",
        ),
        (
            "price_version:",
            "version:",
            "price_version: Field required\nversion: Extra inputs are not permitted",
        ),
        ("  mini:\n", "  mini:\n    surcharge: 1\n", "models.mini.surcharge: Extra inputs are not permitted"),
        (
            "      - watermark\n",
            "      - wings\n",
            "models.pro.capabilities.5: Input should be 'image_reference'",
        ),
        (
            "{min: 4, max: 15}",
            "{min: 16, max: 15}",
            "models.pro.duration_seconds: Value error, min is more than max",
        ),
        ("models:\n", "models: [\n", "while parsing"),
    ],
)
def test_a_wrong_catalogue_is_refused_by_place(tmp_path: Path, old: str, new: str, problem: str) -> None:
    with pytest.raises(CatalogueError) as refused:
        load_catalogue(edited(tmp_path, old, new))

    assert problem in str(refused.value)


def test_a_missing_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="No such file"):
        load_catalogue(tmp_path / "none.yaml")


def edited(folder: Path, old: str, new: str) -> Path:
    text = CATALOGUE_FILE.read_text(encoding="utf-8")
    assert old in text
    path = folder / "catalogue.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path
