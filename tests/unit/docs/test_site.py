"""The site is made of what is in the repository: every guide, every code, the same bytes each time."""

import json
import re
from pathlib import Path

import pytest

from docs import error_codes
from docs.site import build, guides
from docs.site.markdown import SiteError, summary_of, title_of, to_html
from docs.site.scalar import UnreachableError


def nowhere(target: str) -> str | None:
    return None if target.startswith("../") else target


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> bytes:
        raise UnreachableError

    monkeypatch.setattr(build, "bundle", refuse)


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "bundle", lambda: b"// the reference\n" * 100_000)


def linked(page: str) -> set[str]:
    """Returns where a page leads, and what it loads."""
    return {link.partition("#")[0] for link in re.findall(r'(?:href|src)="([^"]+)"', page)}


def texts(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("reachable")
def test_the_same_sources_make_the_same_site(tmp_path: Path) -> None:
    assert build.build(tmp_path / "one")
    assert build.build(tmp_path / "two")

    assert texts(tmp_path / "one") == texts(tmp_path / "two")


@pytest.mark.usefixtures("unreachable")
def test_without_the_registry_the_reference_says_how_it_is_built(tmp_path: Path) -> None:
    assert not build.build(tmp_path)

    page = (tmp_path / "docs" / "index.html").read_text()
    assert "make site" in page
    assert "/openapi/seedancee2.json" in page


@pytest.mark.usefixtures("reachable")
def test_every_link_between_pages_leads_to_one(tmp_path: Path) -> None:
    build.build(tmp_path)
    paths = {each["path"] for each in json.loads((tmp_path / "site.json").read_text())["files"]}

    for page in tmp_path.rglob("*.html"):
        strange = {link for link in linked(page.read_text()) if link.startswith("/") and link not in paths}
        assert strange == set(), page


@pytest.mark.usefixtures("reachable")
def test_no_page_loads_anything_from_another_host(tmp_path: Path) -> None:
    build.build(tmp_path)

    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(r'<(?:link|script|img)[^>]*?(?:href|src)="([^"]+)"', page.read_text())
        assert loaded
        assert [link for link in loaded if not link.startswith("/")] == [], page


def test_every_guide_is_listed() -> None:
    listed = {guide.source for section in guides.read_sections() for guide in section.guides}

    assert listed >= {path.resolve() for path in guides.FOLDER.glob("*.md")}


def test_a_page_that_is_not_listed_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "index.yaml").write_text("- {title: Start, guides: []}")
    (tmp_path / "stray.md").write_text("# Stray")

    with pytest.raises(SiteError, match=r"does not list stray\.md"):
        guides.read_sections(tmp_path)


def test_a_page_that_is_listed_and_missing_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "index.yaml").write_text("- {title: Start, guides: [{name: gone, title: Gone}]}")

    with pytest.raises(SiteError, match=r"there is no gone\.md"):
        guides.read_sections(tmp_path)


def test_remarks_for_tests_are_not_shown_and_other_html_is_refused() -> None:
    shown = to_html("# A\n\n<!-- not run: needs a phone -->\n```sh\ntrue\n```\n", nowhere)

    assert "phone" not in shown
    for text in ("<script>x()</script>", "a <b>bold</b> word", '<!-- a --><img src="x">'):
        with pytest.raises(SiteError, match="no HTML"):
            to_html(text, nowhere)


def test_headings_have_the_anchors_that_links_on_github_use() -> None:
    shown = to_html("# The `API`, in words\n\n## Retries\n\n## Retries\n", nowhere)

    for anchor in ("the-api-in-words", "retries", "retries-1"):
        assert f'id="{anchor}"' in shown


def test_examples_have_a_place_for_the_visitors_own_address() -> None:
    shown = to_html(
        '```sh\nexport BASE=http://127.0.0.1:8080\ncurl "https://api.example.com/v1/models"\n```\n', nowhere
    )

    assert "<span data-base>http://127.0.0.1:8080</span>" in shown
    assert "<span data-base>https://api.example.com</span>/v1/models" in shown


def test_a_link_to_a_page_that_is_not_published_leaves_its_words() -> None:
    shown = to_html("See [operating](../operating.md) and [limits](limits.md).", nowhere)

    assert "<span>operating</span>" in shown
    assert '<a href="limits.md">limits</a>' in shown


def test_a_page_has_a_title_and_a_summary_without_marks() -> None:
    assert title_of("\n# A *page*\n\nText") == "A *page*"
    assert summary_of("# A\n\nThe `code` and\n[a link](x.md).\n\nMore.") == "The code and a link."
    with pytest.raises(SiteError, match="title"):
        title_of("Text")


def test_every_code_that_a_customer_can_meet_is_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    codes = {each.code: each for each in error_codes.error_codes()}
    assert codes["idempotency_conflict"].statuses == (409, 422)
    assert codes["request_too_large"].statuses == (413,)
    assert codes["cancelled"].statuses == ()

    short = error_codes.SOURCE.read_text().replace("  conflict:\n", "  other:\n")
    (tmp_path / "error_codes.yaml").write_text(short)
    monkeypatch.setattr(error_codes, "SOURCE", tmp_path / "error_codes.yaml")
    with pytest.raises(ValueError, match="'conflict', 'other'"):
        error_codes.error_codes()


def test_what_a_block_prints_looks_other_than_what_to_type() -> None:
    page = to_html("```sh\nls\n```\n\n<!-- output -->\n```text\nboat.mp4\n```\n", nowhere)

    assert re.findall(r'<div class="(.*?)">.*?<code>(\S+)', page) == [
        ("code", "ls"),
        ("code printed", "boat.mp4"),
    ]
