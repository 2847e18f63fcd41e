"""The table of docs/performance.md, from what the bench wrote last: what is held to a bound.

`python -m tests.bench.performance` prints it; with the name of a page it is put between the marks of that page.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.__main__ import REPORT
from tests.bench.capacity import between

HEAD = "| figure | measured | must | goal | held |\n|---|---|---|---|---|"


def held(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the rows of the bench that have a goal, as a table in Markdown."""
    return "\n".join([HEAD, *(_line(row) for row in rows if row["goal"] is not None)])


def _line(row: Mapping[str, Any]) -> str:
    sign = "≥" if row["better"] == "higher" else "≤"
    must = row["goal"] if row["must"] is None else row["must"]
    bounds = (f"{sign} {each:g}" for each in (must, row["goal"]))
    return f"| {' | '.join((row['name'], _shown(row['measured']), *bounds, row['verdict']))} |"


def _shown(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def main() -> None:
    text = held(json.loads(REPORT.read_text(encoding="utf-8")))
    if len(sys.argv) == 1:
        print(text)
        return
    page = Path(sys.argv[1])
    page.write_text(between(page.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main()
