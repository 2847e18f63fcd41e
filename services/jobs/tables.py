"""The tables of the jobs database. Times are the database clock's; amounts are micro-credits."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData()
Moment = DateTime(timezone=True)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("callback_url", Text),
    Column("metadata", Text),
    Column("price_version", Text, nullable=False),
    Column("micros_per_second", BigInteger, nullable=False),
    Column("reserved_micros", BigInteger, nullable=False),
    Column("charged_micros", BigInteger, nullable=False, server_default=text("0")),
    Column("refunded_micros", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("video_url", Text),
    Column("thumbnail_url", Text),
    Column("last_frame_url", Text),
    Column("output_seconds", Double),
    Column("failure", Text),
    CheckConstraint("status IN ('pending', 'processing', 'completed', 'failed')", name="jobs_status"),
    CheckConstraint("reserved_micros > 0", name="jobs_reserved"),
    CheckConstraint("charged_micros BETWEEN 0 AND reserved_micros", name="jobs_charged"),
    CheckConstraint("refunded_micros BETWEEN 0 AND reserved_micros", name="jobs_refunded"),
    # In an order of their own, so that a page is never read off the primary key, past everybody else's jobs.
    Index("jobs_newest", "account_id", "environment", text('id COLLATE "C" DESC')),
    Index("jobs_newest_by_status", "account_id", "environment", "status", text('id COLLATE "C" DESC')),
    Index("jobs_created", "account_id", "environment", "created_at"),
)
"""What customers see. A row is written at acceptance, at the start and at the end, never in between."""

work = Table(
    "work",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("state_since", Moment, nullable=False, server_default=text("now()")),
    Column("due_at", Moment, nullable=False, server_default=text("now()")),
    Column("lease_no", BigInteger, nullable=False, server_default=text("0")),
    Column("lease_until", Moment, nullable=False, server_default=text("'-infinity'")),
    Column("wake_no", Integer, nullable=False, server_default=text("0")),
    Column("check_count", Integer, nullable=False, server_default=text("0")),
    Index("work_due", "due_at"),
)
"""One narrow row for each unfinished job: when it is due, and who has it."""

attempts = Table(
    "attempts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("route", Text, nullable=False),
    Column("upstream_model", Text, nullable=False),
    Column("token", Text, nullable=False, unique=True),
    Column("lease_no", BigInteger, nullable=False),
    Column("opened_at", Moment, nullable=False, server_default=text("now()")),
    Column("task_id", Text),
    Column("claimed_task_id", Text),
    Column("outcome", Text),
    Column("detail", Text),
    Column("closed_at", Moment),
    Index("attempts_of_job", "job_id", "number", unique=True),
)
"""Every try at a provider, committed before the provider is called. `outcome` is null while it may still run."""

outbox = Table(
    "outbox",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("target_url", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("occurred_at", Moment, nullable=False),
    Index("outbox_of_job", "job_id", "sequence", unique=True),
)
"""Events that the webhooks service has not yet taken over. A row goes when it has."""

usage_daily = Table(
    "usage_daily",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("completed_jobs", Integer, nullable=False),
    Column("failed_jobs", Integer, nullable=False),
    Column("charged_micros", BigInteger, nullable=False),
    Column("refunded_micros", BigInteger, nullable=False),
)
"""Finished jobs by UTC day of creation, kept up when they finish. `charged_micros` is gross."""
