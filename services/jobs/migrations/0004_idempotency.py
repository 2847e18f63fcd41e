"""Requests with idempotency keys, and what was answered to them."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute("""
        CREATE TABLE idempotency (
            key_id text,
            key text,
            fingerprint bytea NOT NULL,
            reserved_ulid text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            locked_until timestamptz NOT NULL,
            lock_no bigint NOT NULL DEFAULT 1,
            is_finished boolean NOT NULL DEFAULT false,
            response bytea,
            reason text,
            message text,
            facts jsonb,
            PRIMARY KEY (key_id, key)
        ) WITH (fillfactor = 70)
    """)
    op.execute("CREATE INDEX idempotency_expires ON idempotency (expires_at)")
