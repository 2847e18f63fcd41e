"""Operators list refused events without reading the others."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute("CREATE INDEX outbox_refused ON outbox (occurred_at, event_id) WHERE refusal IS NOT NULL")
