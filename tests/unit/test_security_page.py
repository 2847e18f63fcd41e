"""The page about security names only files and tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`((?:services|deploy|tests)/[\w/.]+)(?:::(\w+))?`")
PROMISE = re.compile(r"^\| \*\*.*\| (.+) \| (.+) \|$", re.MULTILINE)


def test_every_file_that_it_names_is_there() -> None:
    missing = [path for path, _ in NAMED.findall(PAGE) if not (ROOT / path).is_file()]

    assert missing == []


@pytest.mark.parametrize(("path", "test"), [found for found in NAMED.findall(PAGE) if found[1]])
def test_every_test_that_it_names_is_there(path: str, test: str) -> None:
    assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8")


def test_every_promise_names_what_holds_it_and_what_proves_it() -> None:
    promises = PROMISE.findall(PAGE)

    assert len(promises) == PAGE.count("\n| **") > 0
    assert [held for held, _ in promises if not re.search("`(?:services|deploy)/", held)] == []
    assert [proved for _, proved in promises if "`tests/" not in proved] == []
