import re
import tomllib
from collections import Counter
from pathlib import Path

from tests.newcomer.pythons import MINORS

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def test_each_package_is_pinned_once_for_every_python() -> None:
    pins = Counter(name for name, _ in PIN.findall((ROOT / "requirements.lock").read_text()))

    assert len(pins) > 50
    assert [name for name, times in pins.items() if times > 1] == []


def test_no_pin_depends_on_the_version_of_python() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()

    assert [line for line in lines if "python_version" in line or "python_full_version" in line] == []


def test_every_place_names_the_same_pythons() -> None:
    first, last = min(MINORS), max(MINORS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    makefile = (ROOT / "Makefile").read_text()

    assert project["requires-python"] == f">=3.{first},<3.{last + 1}"
    assert f"(3, {first}) <= sys.version_info < (3, {last + 1})" in makefile
    assert f"Python 3.{first} to 3.{last}," in makefile
    assert f"Python 3.{first} to 3.{last}" in (ROOT / "README.md").read_text()
