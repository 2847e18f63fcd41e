"""Whose work it is, which of it has a place at a provider, and how many places there are."""

from alembic import op

revision = "0005"
down_revision = "0004"

# The former release goes on to store jobs while this one starts: they have a place, and count for nobody.
COLUMNS = """
ALTER TABLE work
    ADD COLUMN account_id text NOT NULL DEFAULT '',
    ADD COLUMN environment text NOT NULL DEFAULT '',
    ADD COLUMN key_id text NOT NULL DEFAULT '',
    ADD COLUMN admitted_at timestamptz DEFAULT now(),
    ADD COLUMN hold_due_at timestamptz;
UPDATE work SET account_id = jobs.account_id, environment = jobs.environment, key_id = jobs.key_id,
        admitted_at = jobs.created_at
    FROM jobs WHERE jobs.id = work.job_id;
"""

INDEXES = """
CREATE INDEX work_admitted ON work (account_id, environment, key_id) WHERE admitted_at IS NOT NULL;
CREATE INDEX work_waiting ON work (account_id, environment, key_id, job_id COLLATE "C")
    WHERE admitted_at IS NULL AND state = 'pending';
CREATE INDEX work_hold_due ON work (hold_due_at) WHERE hold_due_at IS NOT NULL;
"""

CAPS = """
CREATE TABLE caps (
    account_id text,
    environment text,
    key_id text,
    jobs_max integer NOT NULL,
    PRIMARY KEY (account_id, environment, key_id)
);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (COLUMNS, INDEXES, CAPS):
        op.execute(part)
