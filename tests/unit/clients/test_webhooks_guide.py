"""The guide shows the verifiers that are tested, and the README a vector that is published."""

import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.webhook_vectors import FILE

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "clients" / "webhooks"


def _fences(page: Path) -> list[str]:
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [token.content for token in tokens if token.type == "fence"]


@pytest.mark.parametrize("verifier", sorted(FOLDER.glob("[vV]erify.*")), ids=lambda path: path.name)
def test_the_guide_shows_each_verifier_as_it_is(verifier: Path) -> None:
    assert verifier.read_text(encoding="utf-8") in _fences(ROOT / "docs" / "guides" / "webhooks.md")


def test_there_is_a_verifier_in_each_of_five_languages() -> None:
    assert {path.suffix for path in FOLDER.glob("[vV]erify.*")} == {".py", ".js", ".go", ".java", ".php"}


def test_the_vector_in_the_readme_is_published() -> None:
    [shown] = [json.loads(text) for text in _fences(FOLDER / "README.md")]

    [case] = [
        each
        for each in json.loads(FILE.read_text(encoding="utf-8"))["cases"]
        if each["name"] == shown["name"]
    ]
    assert case.keys() == shown.keys()
    assert {name: case[name] for name in ("result", "why", "now", "secrets", "json")} == {
        name: shown[name] for name in ("result", "why", "now", "secrets", "json")
    }
    assert case["headers"]["X-Seedancee2-Signature"].startswith(
        shown["headers"]["X-Seedancee2-Signature"][:-1]
    )
