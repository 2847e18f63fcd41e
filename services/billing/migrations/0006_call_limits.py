"""How often keys were used in the last minute, and which processes may let more calls of them through."""

from alembic import op

revision = "0006"
down_revision = "0005"

# A row is changed every second by each process its key is used at, and is as good as none a minute after.
CALL_LIMITS = """
CREATE TABLE call_limits (
    key_id text PRIMARY KEY REFERENCES api_keys,
    cooling_micros bigint[] NOT NULL DEFAULT '{}',
    cooling_counts integer[] NOT NULL DEFAULT '{}',
    held jsonb NOT NULL DEFAULT '[]',
    CONSTRAINT call_limits_cooling_check CHECK (cardinality(cooling_micros) = cardinality(cooling_counts))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute(CALL_LIMITS)
