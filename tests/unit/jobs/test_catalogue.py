"""The catalogue that is shipped, and what is refused in its place."""

from pathlib import Path

import pytest

from services.jobs.catalogue import CatalogueError, load_catalogue
from tests.unit.jobs.samples import CATALOGUE, CATALOGUE_FILE, UPSTREAM_NAMES


def test_models_stand_strongest_first() -> None:
    assert [(model.contract, model.id) for model in CATALOGUE] == [
        ("seedancee2", "pro"),
        ("seedancee2", "fast"),
        ("seedancee2", "mini"),
        ("nextapi", "seedance-2.0-pro"),
        ("nextapi", "seedance-2.0-fast"),
        ("nextapi", "seedance-2.0-mini"),
    ]


def test_every_model_has_a_name_at_the_provider() -> None:
    assert {model: dict(names) for model, names in UPSTREAM_NAMES.items()} == {
        "pro": {"ark": "dreamina-seedance-2-0-260128"},
        "fast": {"ark": "dreamina-seedance-2-0-fast-260128"},
        "mini": {"ark": "dreamina-seedance-2-0-mini-260615"},
        "seedance-2.0-pro": {"ark": "dreamina-seedance-2-0-260128"},
        "seedance-2.0-fast": {"ark": "dreamina-seedance-2-0-fast-260128"},
        "seedance-2.0-mini": {"ark": "dreamina-seedance-2-0-mini-260615"},
    }


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("models:", "version: 1\nmodels:", "version: Extra inputs are not permitted"),
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
        ("contract: nextapi", "contract: other", "models.seedance-2.0-pro.contract: Input should be"),
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
