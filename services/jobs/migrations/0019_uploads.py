"""Files that customers send to us are on record, so that their number and bytes are bounded for each account."""

from alembic import op

revision = "0019"
down_revision = "0018"

UPLOADS = """
CREATE TABLE uploads (
    id text PRIMARY KEY,
    account_id text NOT NULL,
    environment text NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    byte_count bigint NOT NULL,
    arrived_at timestamptz,
    created_at timestamptz NOT NULL,
    put_until timestamptz NOT NULL,
    kept_until timestamptz NOT NULL
);
CREATE INDEX uploads_of_account ON uploads (account_id, environment);
CREATE INDEX uploads_old ON uploads (kept_until);
"""


def upgrade() -> None:
    op.execute(UPLOADS)
