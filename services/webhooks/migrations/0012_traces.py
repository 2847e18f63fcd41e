"""To which trace the deliveries of a job belong: few do."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("ALTER TABLE heads ADD COLUMN traceparent text")
