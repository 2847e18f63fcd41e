"""Commands that report on the business as a whole."""

import asyncio
import csv
import sys
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.commands.statement import Format
from services.cli.options import DATA_DEFAULT, Data, Jobs, admin_target, command_group
from services.cli.printing import print_columns, print_json

if TYPE_CHECKING:
    from reelgate.admin.v1.report_service_pb2 import MarginLine

app = command_group("Report on the business as a whole.")

FIELDS = ("completed", "failed", "revenue_usd", "cost_usd", "margin_usd", "margin_percent")
DOLLAR = Decimal(1_000_000)
NO_KEY = "(none)"
TOTAL = "total"


class By(StrEnum):
    """What a report has a line for."""

    MODEL = "model"
    PROVIDER = "provider"
    ACCOUNT = "account"


@app.command("margin")
def report_margin(
    by: Annotated[By, typer.Option(help="What to have a line for.")],
    since: Annotated[str, typer.Option("--from", metavar="DATE", help="First UTC day: 2026-06-01.")],
    until: Annotated[str, typer.Option("--to", metavar="DATE", help="Last UTC day, included.")],
    form: Annotated[
        Format,
        typer.Option("--format", help="csv is in US dollars, json in millionths of one; both are exact."),
    ] = Format.TABLE,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
) -> None:
    """Show what live jobs brought in, what providers charged for them, and the difference, by the day of their creation."""
    from services.cli.admin.reports import margin

    target = admin_target(jobs, service="jobs", root=data)
    lines = asyncio.run(margin(by=by.value, since=since, until=until, jobs=target))
    if form is Format.JSON:
        print_json(lines)
    elif form is Format.CSV:
        output = csv.writer(sys.stdout, lineterminator="\n")
        output.writerow((by.value, *FIELDS))
        output.writerows((line.key, *_cells(line)) for line in lines)
    else:
        _print_table(by, lines)


def _print_table(by: By, lines: "Sequence[MarginLine]") -> None:
    from reelgate.admin.v1.report_service_pb2 import MarginLine

    total = MarginLine(
        key=TOTAL,
        completed_jobs=sum(line.completed_jobs for line in lines),
        failed_jobs=sum(line.failed_jobs for line in lines),
        revenue_microdollars=sum(line.revenue_microdollars for line in lines),
        cost_microdollars=sum(line.cost_microdollars for line in lines),
    )
    rows = [(line.key or NO_KEY, *_cells(line)) for line in (*lines, total)]
    headings = (by.value, *(name.replace("_", " ").replace("usd", "USD") for name in FIELDS))
    first, *others = (max(map(len, column)) for column in zip(headings, *rows, strict=True))
    for row in (headings, *rows):
        print_columns(row, widths=(first, *(-width for width in others)))


def _cells(line: "MarginLine") -> tuple[str, ...]:
    revenue, cost = line.revenue_microdollars, line.cost_microdollars
    percent = f"{Decimal(100 * (revenue - cost)) / Decimal(revenue):.1f}" if revenue else ""
    dollars = (f"{amount / DOLLAR:.6f}" for amount in (revenue, cost, revenue - cost))
    return (str(line.completed_jobs), str(line.failed_jobs), *dollars, percent)
