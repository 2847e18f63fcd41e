"""Which file of a request could not be used: what its references are called there, and which of them failed the job."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute("ALTER TABLE jobs ADD COLUMN reference_fields text, ADD COLUMN unusable text")
