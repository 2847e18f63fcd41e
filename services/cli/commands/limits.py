"""How spend limits are typed and shown, for accounts and for keys."""

import typer

from services.cli.admin.records import Limits, Spending
from services.cli.credit_amounts import show_credits
from services.cli.options import SpendLimit, spend_limit

SPENDING_HEADINGS = ("per job", "per day", "spent", "per month", "spent")


def _option(name: str, text: str) -> object:
    return typer.Option(f"--{name}", parser=spend_limit, metavar="N|none", help=text)


PER_JOB = _option("per-job", "Most credits for one job.")
PER_DAY = _option("per-day", "Most credits in a UTC day.")
PER_MONTH = _option("per-month", "Most credits in a UTC month.")


def spending_cells(spending: Spending) -> tuple[str, ...]:
    """Returns limits and what was spent, as they stand under SPENDING_HEADINGS."""
    limits = spending.limits
    return (
        _cell(limits.per_job_micros),
        _cell(limits.per_day_micros),
        show_credits(spending.day_micros),
        _cell(limits.per_month_micros),
        show_credits(spending.month_micros),
    )


def changed(
    before: Limits, *, per_job: SpendLimit | None, per_day: SpendLimit | None, per_month: SpendLimit | None
) -> Limits:
    """Returns the limits with those that were typed in place of those before."""
    return Limits(
        per_job_micros=before.per_job_micros if per_job is None else per_job.micros,
        per_day_micros=before.per_day_micros if per_day is None else per_day.micros,
        per_month_micros=before.per_month_micros if per_month is None else per_month.micros,
    )


def _cell(micros: int | None) -> str:
    return "none" if micros is None else show_credits(micros)
