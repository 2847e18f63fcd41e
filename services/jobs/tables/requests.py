"""Events to be told, answers to be repeated, and files of customers."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, text

from services.common.idempotency.store import idempotency_table
from services.jobs.tables.base import Moment, metadata

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
    Column("due_at", Moment, nullable=False, server_default=text("now()")),
    Column("refusal", Text),
    Column("traceparent", Text),
    Index("outbox_of_job", "job_id", "sequence", unique=True),
    Index("outbox_due", "due_at", "event_id"),
    Index("outbox_refused", "occurred_at", "event_id", postgresql_where=text("refusal IS NOT NULL")),
)
"""Events that the webhooks service has not yet taken over. A row goes when it has.

One that was refused is due again later, and with it the later ones of its job.
"""

idempotency = idempotency_table(metadata)
"""Requests with idempotency keys, and what was answered to them."""

uploads = Table(
    "uploads",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("byte_count", BigInteger, nullable=False),
    Column("arrived_at", Moment),
    Column("created_at", Moment, nullable=False),
    Column("put_until", Moment, nullable=False),
    Column("kept_until", Moment, nullable=False),
    Index("uploads_of_account", "account_id", "environment"),
    Index("uploads_old", "kept_until"),
)
