"""The tables of docs/capacity.md, from what the bench wrote last.

`python -m tests.bench.capacity` prints them; with the name of a page they are put between the marks of that page.
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
FIGURES = (
    "echo, requests/s",
    "poll, requests/s",
    "create, requests/s",
    "whole walk, jobs/s",
    "one row updated by 32 connections, commits/s",
    "one account, holds/s",
    "50 accounts, holds/s",
    "one account, 100 holds a statement in SQL, holds/s",
)
POLLS = 20
"""For each job, by a customer that does not wait for webhooks."""
JOBS_PER_SECOND = (10, 100, 1_000)
GROUPS = {
    "Envoy": "edge",
    "jobs-api": "jobs, api and worker",
    "jobs-worker": "jobs, api and worker",
    "billing": "billing",
    "webhooks": "webhooks",
}
POSTGRESQL = "PostgreSQL"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NONE = "-"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the costs in rows of the bench as a table in Markdown: a column for each request, a line for each process."""
    found = _costs(rows)
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


def cores(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns how many cores each service keeps busy at some rates of whole jobs, each polled POLLS times."""
    needed: dict[str, float] = {}
    for name, costs in _costs(rows).items():
        group = POSTGRESQL if name.startswith(POSTGRESQL) else GROUPS.get(name)
        if group is not None:
            microseconds = costs.get("whole walk", 0.0) + POLLS * costs.get("poll", 0.0)
            needed[group] = needed.get(group, 0.0) + microseconds / 1e6
    groups = [*dict.fromkeys(GROUPS.values()), POSTGRESQL]
    return "\n".join(
        [
            _line("cores busy at", [f"{rate:,} jobs/s" for rate in JOBS_PER_SECOND]),
            "|" + "---|" * (len(JOBS_PER_SECOND) + 1),
            *(
                _line(group, [_two_digits(rate * needed[group]) for rate in JOBS_PER_SECOND])
                for group in groups
                if group in needed
            ),
        ]
    )


def figures(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the rates that were measured."""
    measured = {row["name"]: _best(row) for row in rows}
    lines = [_line(name, [f"{measured[name]:,.0f}"]) for name in FIGURES if name in measured]
    return "\n".join([_line("rate", ["measured"]), "|---|---|", *lines])


def _costs(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Returns what each process, and each counter, says of each request."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        what, _, name = row["name"].partition(": ")
        if what in REQUESTS and (name.endswith(f", {CPU}") or name in COUNTS):
            found.setdefault(name.removesuffix(f", {CPU}"), {})[what] = _best(row)
    return found


def between(page: str, text: str) -> str:
    """Returns the page with this text between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _cells(costs: Mapping[str, float], columns: Sequence[str], form: str) -> list[str]:
    return [format(costs[what], form) if what in costs else NONE for what in columns]


def _best(row: Mapping[str, Any]) -> float:
    """Returns the best of the rounds: what else runs on a machine only ever adds to what a request costs."""
    best: float = row["measured"] if row.get("best") is None else row["best"]
    return best


def _two_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {' | '.join((name, *cells))} |"


def main() -> None:
    rows = json.loads(REPORT.read_text(encoding="utf-8"))
    text = "\n\n".join((table(rows), cores(rows), figures(rows)))
    if len(sys.argv) == 1:
        print(text)
        return
    page = Path(sys.argv[1])
    page.write_text(between(page.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main()
