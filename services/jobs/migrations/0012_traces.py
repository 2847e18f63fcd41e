"""To which trace a job belongs, and so do its events: few do."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN traceparent text")
    op.execute("ALTER TABLE outbox ADD COLUMN traceparent text")
