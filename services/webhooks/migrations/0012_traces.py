"""To which trace the deliveries of a job belong: few do."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute("ALTER TABLE heads ADD COLUMN traceparent text")
