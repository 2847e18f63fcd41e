"""How spend limits are typed and shown, for accounts and for keys."""

from typing import TYPE_CHECKING

import typer

from services.cli.credit_amounts import show_credits
from services.cli.options import SpendLimit, spend_limit
from services.cli.printing import fields_of

if TYPE_CHECKING:
    from reelgate.admin.v1.account_pb2 import Spending, SpendLimits

SPENDING_HEADINGS = ("per job", "per day", "spent", "per month", "spent")


def _option(name: str, text: str) -> object:
    return typer.Option(f"--{name}", parser=spend_limit, metavar="N|none", help=text)


PER_JOB = _option("per-job", "Most credits for one job.")
PER_DAY = _option("per-day", "Most credits in a UTC day.")
PER_MONTH = _option("per-month", "Most credits in a UTC month.")


def spending_cells(spending: "Spending") -> tuple[str, ...]:
    """Returns limits and what was spent, in the order of SPENDING_HEADINGS."""
    most = {name: _cell(micros) for name, micros in fields_of(spending.limits).items()}
    return (
        most["per_job_micros"],
        most["per_day_micros"],
        show_credits(spending.day_micros),
        most["per_month_micros"],
        show_credits(spending.month_micros),
    )


def changed(
    before: "SpendLimits",
    *,
    per_job: SpendLimit | None,
    per_day: SpendLimit | None,
    per_month: SpendLimit | None,
) -> "SpendLimits":
    """Returns the limits with those that were typed in place of those before."""
    from reelgate.admin.v1.account_pb2 import SpendLimits

    typed = {"per_job_micros": per_job, "per_day_micros": per_day, "per_month_micros": per_month}
    replaced = {name: limit.micros for name, limit in typed.items() if limit is not None}
    return SpendLimits(**{**fields_of(before), **replaced})


def _cell(micros: int | None) -> str:
    return "none" if micros is None else show_credits(micros)
