"""The tables that statements name. The migrations define them in full, with their rules and indexes."""

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, Table, Text

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
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("key_sha256", LargeBinary, nullable=False),
    Column("hint", Text, nullable=False),
    Column("created_at", _moment, nullable=False),
    Column("disabled_at", _moment),
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
