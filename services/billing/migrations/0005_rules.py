"""How keys and accounts may be used. NULL, and an empty profile, stand for the default."""

from alembic import op

revision = "0005"
down_revision = "0004"

KEYS = """
ALTER TABLE api_keys
    ADD COLUMN kind text NOT NULL DEFAULT 'business'
        CONSTRAINT api_keys_kind_check CHECK (kind IN ('business', 'admin')),
    ADD COLUMN calls_per_minute integer
        CONSTRAINT api_keys_calls_per_minute_check CHECK (calls_per_minute > 0),
    ADD COLUMN jobs_at_once integer CONSTRAINT api_keys_jobs_at_once_check CHECK (jobs_at_once > 0),
    ADD COLUMN moderation_profiles text[] NOT NULL DEFAULT '{}';
"""

ACCOUNTS = """
ALTER TABLE accounts
    ADD COLUMN jobs_at_once integer CONSTRAINT accounts_jobs_at_once_check CHECK (jobs_at_once > 0),
    ADD COLUMN moderation_profile text NOT NULL DEFAULT '';
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (KEYS, ACCOUNTS):
        op.execute(part)
