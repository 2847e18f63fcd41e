"""The table of costs in docs/capacity.md, from what the bench wrote last.

`python -m tests.bench.capacity` prints it; with the name of a page it is put between the marks of that page.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.__main__ import REPORT
from tests.bench.cost import APART, CPU

REQUESTS = (
    "echo",
    "poll",
    "create",
    "create with an idempotency key",
    "create beside 10,000 placed",
    "webhook",
    "whole walk",
)
COUNTS = ("statements", "commits", "fsyncs")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NONE = "-"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the costs in rows of the bench as a table in Markdown: a column for each request, a line for each process."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        what, _, name = row["name"].partition(": ")
        if what in REQUESTS and (name.endswith(f", {CPU}") or name in COUNTS):
            found.setdefault(name.removesuffix(f", {CPU}"), {})[what] = row["measured"]
    columns = [what for what in REQUESTS if any(what in each for each in found.values())]
    servers = [name for name in found if name not in APART and name not in COUNTS]
    sums = [sum(found[name].get(what, 0.0) for name in servers) for what in columns]
    return "\n".join(
        [
            _line(CPU, columns),
            "|" + "---|" * (len(columns) + 1),
            *(_line(name, _cells(found[name], columns, ",.0f")) for name in servers),
            _line("**servers in all**", [f"**{each:,.0f}**" for each in sums]),
            *(
                _line(f"{name}, not of it", _cells(found[name], columns, ",.0f"))
                for name in found
                if name in APART
            ),
            *(_line(name, _cells(found[name], columns, ".1f")) for name in COUNTS if name in found),
        ]
    )


def between(page: str, text: str) -> str:
    """Returns the page with this text between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _cells(costs: Mapping[str, float], columns: Sequence[str], form: str) -> list[str]:
    return [format(costs[what], form) if what in costs else NONE for what in columns]


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {' | '.join((name, *cells))} |"


def main() -> None:
    text = table(json.loads(REPORT.read_text(encoding="utf-8")))
    if len(sys.argv) == 1:
        print(text)
        return
    page = Path(sys.argv[1])
    page.write_text(between(page.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main()
