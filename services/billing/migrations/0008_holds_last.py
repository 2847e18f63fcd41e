"""A hold lasts as long as what it pays for may take. Whoever made it gives it back when no job came of it."""

from alembic import op

revision = "0008"
down_revision = "0007"

# Those of now were made to expire in minutes, and their jobs may still wait. The release before goes on with these as
# it did: it gives none back that another would need.
LAST = """
ALTER TABLE holds ALTER COLUMN expires_at SET DEFAULT clock_timestamp() + interval '30 days';
UPDATE holds SET expires_at = created_at + interval '30 days'
WHERE state = 'provisional' AND expires_at > clock_timestamp();
CREATE INDEX holds_unconfirmed_idx ON holds (hold_id) WHERE state = 'provisional';
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute(LAST)
