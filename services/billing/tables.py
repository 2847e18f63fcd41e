"""The tables that statements name. The migrations define them in full, with their rules and indexes."""

from sqlalchemy import BigInteger, Column, Date, DateTime, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()
_moment = DateTime(timezone=True)

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("created_at", _moment, nullable=False),
    Column("suspended_at", _moment),
    Column("jobs_at_once", Integer),
    Column("moderation_profile", Text, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("key_sha256", LargeBinary, nullable=False),
    Column("hint", Text, nullable=False),
    Column("models", ARRAY(Text), nullable=False),
    Column("previous_sha256", LargeBinary),
    Column("previous_until", _moment),
    Column("created_at", _moment, nullable=False),
    Column("disabled_at", _moment),
    Column("kind", Text, nullable=False),
    Column("calls_per_minute", Integer),
    Column("jobs_at_once", Integer),
    Column("moderation_profiles", ARRAY(Text), nullable=False),
)

call_limits = Table(
    "call_limits",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("cooling_micros", ARRAY(BigInteger), nullable=False),
    Column("cooling_counts", ARRAY(Integer), nullable=False),
    Column("held", JSONB, nullable=False),
)

balances = Table(
    "balances",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("available_micros", BigInteger, nullable=False),
    Column("held_micros", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column("hold_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("captured_micros", BigInteger, nullable=False),
    Column("refunded_micros", BigInteger, nullable=False),
    Column("key_id", Text),
    Column("spent_on", Date, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", _moment, nullable=False),
    Column("expires_at", _moment, nullable=False),
    Column("resolved_at", _moment),
)

transactions = Table(
    "transactions",
    metadata,
    Column("transaction_id", BigInteger, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("refers_to", BigInteger),
    Column("created_at", _moment, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("transaction_id", BigInteger, primary_key=True),
    Column("bucket", Text, primary_key=True),
    Column("amount_micros", BigInteger, nullable=False),
    Column("balance_micros", BigInteger),
)

spending = Table(
    "spending",
    metadata,
    Column("subject_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, primary_key=True),
    Column("per_job_micros", BigInteger),
    Column("per_day_micros", BigInteger),
    Column("per_month_micros", BigInteger),
    Column("day", Date, nullable=False),
    Column("day_micros", BigInteger, nullable=False),
    Column("month", Date, nullable=False),
    Column("month_micros", BigInteger, nullable=False),
)

price_versions = Table(
    "price_versions",
    metadata,
    Column("version", Text, primary_key=True),
    Column("valid_from", _moment, nullable=False),
    Column("created_at", _moment, nullable=False),
)

prices = Table(
    "prices",
    metadata,
    Column("version", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("resolution", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("valid_from", _moment, nullable=False),
    Column("micros_per_second", BigInteger, nullable=False),
)
