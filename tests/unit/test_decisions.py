"""Each decision has a number of its own, which its file and its heading agree on."""

import re
from pathlib import Path

DECISIONS = Path(__file__).parents[2] / "docs" / "decisions"
FILE = re.compile(r"(\d{4})-[a-z0-9-]+\.md")
HEADING = re.compile(r"# (\d+)\. \S")


def test_numbers_follow_one_another() -> None:
    files = sorted(path.name for path in DECISIONS.iterdir())

    assert [FILE.fullmatch(name) for name in files].count(None) == 0
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))


def test_headings_have_the_number_of_their_file() -> None:
    wrong = []
    for path in DECISIONS.iterdir():
        heading = HEADING.match(path.read_text(encoding="utf-8"))
        if heading is None or int(heading[1]) != int(path.name[:4]):
            wrong.append(path.name)

    assert wrong == []
