"""The command that shows the movements of a balance."""

import asyncio
import csv
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.credit_amounts import show_change, show_credits
from services.cli.options import (
    DATA_DEFAULT,
    AccountId,
    Billing,
    Data,
    Environment,
    admin_target,
)
from services.cli.printing import fields_of, print_columns, print_json_array
from services.common.money import in_credits

if TYPE_CHECKING:
    from reelgate.admin.v1.statement_pb2 import StatementLine

Lines = AsyncIterator["StatementLine"]
HEADINGS = ("when", "what", "change", "held", "available", "held after", "for", "why")
CSV_FIELDS = (
    "version", "occurred_at", "kind", "reference", "to_available_micros", "to_held_micros", "available_micros",
    "held_micros", "reason",
)  # fmt: skip
# Lines are printed as they arrive, so widths are fixed to the usual content. Negative: aligned to the right.
WIDTHS = (24, 10, -12, -12, -14, -12, 33, 0)
DAY_BEGIN, DAY_END = "T00:00:00Z", "T23:59:59.999999Z"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Format(StrEnum):
    """How a statement is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command("statement")(show_statement)


def show_statement(
    account_id: AccountId,
    environment: Annotated[Environment, typer.Option(help="Which balance.")] = Environment.LIVE,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="MOMENT", help="2026-06-01T10:00:00Z, or a UTC day: 2026-06-01."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="MOMENT", help="The last moment, or the last day.")
    ] = None,
    form: Annotated[
        Format,
        typer.Option("--format", help="csv is in credits, json in micro-credits; both are exact."),
    ] = Format.TABLE,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
) -> None:
    """Print the movements of a balance, oldest first, with the balance after each movement."""
    from services.cli.admin.balances import statement

    lines = statement(
        account_id,
        environment=environment.value,
        start=_moment(start, DAY_BEGIN),
        end=_moment(end, DAY_END),
        billing=admin_target(billing, service="billing", root=data),
    )
    asyncio.run(PRINTED[form](lines))


def _moment(text: str | None, of_day: str) -> str | None:
    return text + of_day if text and _DATE.fullmatch(text) else text


async def _print_table(lines: Lines) -> None:
    line = await anext(lines, None)  # a refusal must come before the headings
    print_columns(HEADINGS, widths=WIDTHS)
    while line is not None:
        print_columns(_cells(line), widths=WIDTHS)
        line = await anext(lines, None)


async def _print_csv(lines: Lines) -> None:
    output = csv.writer(sys.stdout, lineterminator="\n")
    line = await anext(lines, None)
    output.writerow(name.removesuffix("_micros") for name in CSV_FIELDS)
    while line is not None:
        fields = fields_of(line)
        output.writerow(
            in_credits(fields[name]) if name.endswith("_micros") else fields[name] for name in CSV_FIELDS
        )
        line = await anext(lines, None)


def _cells(line: "StatementLine") -> tuple[str, ...]:
    return (
        line.occurred_at,
        fields_of(line)["kind"],
        show_change(line.to_available_micros),
        show_change(line.to_held_micros),
        show_credits(line.available_micros),
        show_credits(line.held_micros),
        line.reference,
        line.reason,
    )


PRINTED: dict[Format, Callable[[Lines], Coroutine[None, None, None]]] = {
    Format.TABLE: _print_table,
    Format.CSV: _print_csv,
    Format.JSON: print_json_array,
}
