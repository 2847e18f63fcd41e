"""What the bench says: one table for people, one file for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured figure. Without a goal it is only reported."""

    name: str
    measured: float
    """The median where there were several rounds."""
    goal: float | None = None
    better: str
    """`higher` or `lower`."""
    must: float | None = None
    """What must hold where the goal is not reached yet. None: the goal."""
    best: float | None = None
    """Of several rounds."""
    noisy: str = ""
    """Why the machine was not fit to hold this figure to its goal."""

    @property
    def bound(self) -> float | None:
        """Returns what the figure is held to."""
        return self.goal if self.must is None else self.must

    @property
    def ok(self) -> bool:
        if self.bound is None:
            return True
        return self.measured >= self.bound if self.better == "higher" else self.measured <= self.bound

    @property
    def verdict(self) -> str:
        """Returns `yes`, `NO`, or `noisy` where a figure is missed on a machine that was not fit."""
        if self.ok:
            return "yes"
        return "noisy" if self.noisy else "NO"


def publish(rows: Sequence[Row], *, file: Path) -> None:
    """Prints the table and writes the file."""
    table = Table("figure", "measured", "best", "must", "goal", "ok")
    for row in rows:
        sign = "≥" if row.better == "higher" else "≤"
        must, goal = ("" if each is None else f"{sign} {each:g}" for each in (row.bound, row.goal))
        best = "" if row.best is None else f"{row.best:.4g}"
        table.add_row(row.name, f"{row.measured:.4g}", best, must, goal, row.verdict)
    console = Console(width=120)
    console.print(table)
    for reason in dict.fromkeys(row.noisy for row in rows if row.noisy):
        console.print(f"noisy: {reason}")
    file.parent.mkdir(parents=True, exist_ok=True)
    content = [
        {**asdict(row), "measured": round(row.measured, 4), "ok": row.ok, "verdict": row.verdict}
        for row in rows
    ]
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
