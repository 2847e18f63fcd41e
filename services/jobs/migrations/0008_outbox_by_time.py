"""Events leave in the order in which they were written, and one that is refused waits beside the others."""

from alembic import op

revision = "0008"
down_revision = "0007"

COLUMNS = """
ALTER TABLE outbox
    ADD COLUMN due_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN refusal text;
UPDATE outbox SET due_at = occurred_at;
CREATE INDEX outbox_due ON outbox (due_at, event_id);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute(COLUMNS)
