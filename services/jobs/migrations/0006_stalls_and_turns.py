"""What does not move is counted, and due jobs are found by lane and by whose they are."""

from alembic import op

revision = "0006"
down_revision = "0005"

# The former release goes on to claim while this one starts: it neither counts nor resets, and knows one lane only.
COLUMNS = """
ALTER TABLE work
    ADD COLUMN claim_count integer NOT NULL DEFAULT 0,
    ADD COLUMN stalled_since timestamptz,
    ADD COLUMN last_error text,
    ADD COLUMN awaits_fetch boolean NOT NULL DEFAULT false;
"""

INDEXES = """
CREATE INDEX work_due_in_lane ON work (awaits_fetch, due_at);
CREATE INDEX work_turns ON work (awaits_fetch, environment, account_id, due_at);
CREATE INDEX work_stalled ON work (stalled_since) WHERE stalled_since IS NOT NULL;
DROP INDEX work_due;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (COLUMNS, INDEXES):
        op.execute(part)
