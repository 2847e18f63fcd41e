"""By which key a job was created, and what its request was judged by; when a job was first seen to render."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute("""
        ALTER TABLE jobs
            ADD COLUMN key_id text NOT NULL DEFAULT '',
            ADD COLUMN moderation_profile text NOT NULL DEFAULT ''
    """)
