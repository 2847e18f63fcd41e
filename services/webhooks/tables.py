"""The table that plain statements name. The migrations define all in full."""

from sqlalchemy import Column, LargeBinary, MetaData, Table, Text

metadata = MetaData()

signing_secrets = Table(
    "signing_secrets",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("sealed_secret", LargeBinary, nullable=False),
)
