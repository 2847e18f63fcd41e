"""What owners deleted is on record until its files have gone."""

from alembic import op

revision = "0015"
down_revision = "0014"

DELETIONS = """
CREATE TABLE deletions (
    job_id text PRIMARY KEY,
    account_id text NOT NULL,
    created_on date NOT NULL,
    due_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0
);
CREATE INDEX deletions_due ON deletions (account_id, due_at);
"""


def upgrade() -> None:
    op.execute(DELETIONS)
