"""Pages link to pages, sections and files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "clients").glob("*/README.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "services").rglob("*.md"),
    ],
)
LINK = re.compile(r"\]\((?!https?://)([^)\s#]*)#?([^)\s]*)\)")
FILE = re.compile(r"`((?:services|protos|tests)/[\w/.-]+\.\w+)`")
IN_JOBS = re.compile(r"`((?:duties|operations|steps|store|watch)/[\w/]+\.py)`")


def anchors_of(page: Path) -> set[str]:
    """Returns what links to sections of a page can end in."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            dead.append(f"{path}#{anchor}")

    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = FILE.findall(page.read_text(encoding="utf-8"))

    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_the_life_of_a_job_names_files_of_jobs() -> None:
    named = IN_JOBS.findall((ROOT / "docs" / "life_of_a_job.md").read_text(encoding="utf-8"))

    assert len(named) > 5
    assert [path for path in named if not (ROOT / "services" / "jobs" / path).is_file()] == []
