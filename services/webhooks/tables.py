"""The tables that plain statements name. The migrations define all in full."""

from sqlalchemy import ARRAY, Boolean, Column, DateTime, LargeBinary, MetaData, Table, Text

from services.common.idempotency.store import idempotency_table

metadata = MetaData()

endpoints = Table(
    "endpoints",
    metadata,
    Column("endpoint_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    Column("description", Text, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("disabled_reason", Text),
    Column("notice_due", Boolean, nullable=False),
    Column("failing_since", DateTime(timezone=True)),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("next_sealed_secret", LargeBinary),
    Column("previous_sealed_secret", LargeBinary),
    Column("previous_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

idempotency = idempotency_table(metadata)
"""Requests with idempotency keys, and what was answered to them."""
