"""What is kept of ended jobs, by account and age: so that what is old is found without reading what is not."""

from alembic import op

revision = "0007"
down_revision = "0006"

COLUMNS = """
ALTER TABLE jobs
    ADD COLUMN IF NOT EXISTS content_deleted_at timestamptz,
    ADD COLUMN IF NOT EXISTS media_deleted_at timestamptz
"""

KEPT = {
    "jobs_content_kept": "ended_at IS NOT NULL AND content_deleted_at IS NULL",
    "jobs_media_kept": "ended_at IS NOT NULL AND video_url IS NOT NULL AND media_deleted_at IS NULL",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute(COLUMNS)
    # Jobs go on being stored and finished meanwhile, however many there are. Whoever was interrupted begins again.
    with op.get_context().autocommit_block():
        for name, kept in KEPT.items():
            op.execute(f"DROP INDEX IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON jobs (account_id, ended_at) WHERE {kept}")
