"""Tasks at providers whose job nobody waits for any more are on record until they have ended."""

from alembic import op

revision = "0009"
down_revision = "0008"

STRAYS = """
CREATE TABLE strays (
    attempt_id text PRIMARY KEY,
    job_id text NOT NULL,
    environment text NOT NULL,
    route text NOT NULL,
    task_id text NOT NULL,
    reason text NOT NULL,
    price_micros bigint NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    outcome text,
    ended_at timestamptz
);
CREATE INDEX strays_due ON strays (due_at) WHERE outcome IS NULL;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute(STRAYS)
