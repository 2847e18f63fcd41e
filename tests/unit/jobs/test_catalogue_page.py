"""The page about the catalogue: its example passes the check, and it explains every key that the file can have."""

import re
from pathlib import Path

import pytest

from services.jobs.catalogue.__main__ import main
from services.jobs.catalogue.forms import KEYS

PAGE = Path(__file__).parents[3] / "docs" / "catalogue.md"


def test_the_example_of_the_page_passes_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```yaml\n(credit_value_usd.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "catalogue.yaml"
    file.write_text(example, encoding="utf-8")

    code = main([str(file)])

    assert (code, capsys.readouterr().out) == (
        0,
        f"{file}: nothing found (models 1, routes 2, credentials 2, accounts 1).\n",
    )


def test_the_page_explains_every_key() -> None:
    explained = set(
        re.findall(r"[a-z_]+", " ".join(re.findall(r"`[^`]*`", PAGE.read_text(encoding="utf-8"))))
    )
    keys = {key for places in KEYS.values() for keys in places.values() for key in keys}

    assert keys - explained == set()
