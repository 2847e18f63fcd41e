"""The table of next moves is total, and the one that is printed is the one that holds."""

import re
from pathlib import Path

from services.jobs.next_moves import NEXT_MOVES, Holding, Place

LIFE = Path(__file__).parents[3] / "docs" / "life_of_a_job.md"


def printed() -> dict[tuple[str, str], str]:
    """Returns the table of the page, by job and hold."""
    table = LIFE.read_text().partition("| job \\ hold |")[2].partition("\n\n")[0]
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]
    holdings, _, *rows = lines
    return {
        (place, holding): move
        for place, *moves in rows
        for holding, move in zip(holdings, moves, strict=True)
    }


def test_every_pair_has_one_move_and_the_page_says_which() -> None:
    assert printed() == {
        (place.value, holding.value): move.name.lower() for (place, holding), move in NEXT_MOVES.items()
    }
    assert len(NEXT_MOVES) == len(Place) * len(Holding)


def test_the_page_says_what_each_move_is() -> None:
    explained = dict(re.findall(r"^\* `(\w+)`: (.*?)\.$", LIFE.read_text(), re.MULTILINE))

    assert explained == {move.name.lower(): move.value for move in NEXT_MOVES.values()}
