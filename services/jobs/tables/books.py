"""What was used, brought in and cost, and what was given back."""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, Identity, Index, Integer, Table, Text, text

from services.jobs.tables.base import Moment, metadata


def _usage(name: str, period: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        Column("account_id", Text, primary_key=True),
        Column("environment", Text, primary_key=True),
        period,
        Column("model", Text, primary_key=True),
        Column("completed_jobs", Integer, nullable=False),
        Column("failed_jobs", Integer, nullable=False),
        Column("charged_micros", BigInteger, nullable=False),
        Column("refunded_micros", BigInteger, nullable=False),
    )


usage_daily = _usage("usage_daily", Column("day", Date, primary_key=True))
"""Ended jobs by UTC day of creation, kept up when they end or are refunded.

`charged_micros` is gross: what was debited, what went back later included. `refunded_micros` is what went back.
"""

usage_hourly = _usage("usage_hourly", Column("hour", Moment, primary_key=True))
"""The same by the hour, so that a range that begins or ends within a day counts no more than an hour's jobs."""

_MARGIN_COUNTS = ("completed_jobs", "failed_jobs", "charged_micros", "returned_micros", "cost_micros")

margins_daily = Table(
    "margins_daily",
    metadata,
    Column("day", Date, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("contract", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in _MARGIN_COUNTS),
)
"""What jobs of the live environment brought in, and what attempts cost, by UTC day of the jobs' creation.

Amounts charged and returned are micro-credits; `cost_micros` is millionths of a US dollar, known or possible. The
provider of a job is the one whose result it is, that of a cost the one that charges it. Nothing of it is ever forgotten.
"""

margin_changes = Table(
    "margin_changes",
    metadata,
    Column("change_id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("completed_jobs", Integer, nullable=False, server_default=text("0")),
    Column("failed_jobs", Integer, nullable=False, server_default=text("0")),
    Column("charged_micros", BigInteger, nullable=False, server_default=text("0")),
    Column("returned_micros", BigInteger, nullable=False, server_default=text("0")),
    Column("cost_micros", BigInteger, nullable=False, server_default=text("0")),
)
"""What triggers on `jobs` and `attempts` note, in the commit that did it, until it is added to `margins_daily`."""

refunds = Table(
    "refunds",
    metadata,
    Column("refund_id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column(
        "amount_micros",
        BigInteger,
        CheckConstraint("amount_micros > 0", name="refunds_amount"),
        nullable=False,
    ),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=text("now()")),
    Column("due_at", Moment, nullable=False),
    Column("applied_at", Moment),
    Index("refunds_of_job", "job_id"),
    Index("refunds_due", "due_at", postgresql_where=text("applied_at IS NULL")),
)
"""Refunds that operators decided on. Until one is applied, somebody goes on with it whenever it is due."""
