"""What the bench says: one table for people, one file for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured figure and its goal. Without a goal it is only reported."""

    name: str
    measured: float
    goal: float | None
    better: str
    """`higher` or `lower`."""

    @property
    def ok(self) -> bool:
        if self.goal is None:
            return True
        return self.measured >= self.goal if self.better == "higher" else self.measured <= self.goal


def publish(rows: Sequence[Row], *, file: Path) -> None:
    """Prints the table and writes the file."""
    table = Table("figure", "measured", "goal", "ok")
    for row in rows:
        sign = "≥" if row.better == "higher" else "≤"
        goal = "" if row.goal is None else f"{sign} {row.goal:g}"
        table.add_row(row.name, f"{row.measured:.4g}", goal, "yes" if row.ok else "NO")
    Console(width=110).print(table)
    file.parent.mkdir(parents=True, exist_ok=True)
    content = [{**asdict(row), "measured": round(row.measured, 4), "ok": row.ok} for row in rows]
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
