"""Dispatchers show that they live by a row that they keep fresh, no longer by a lock of their session alone.

The release before looks for that lock. So this release still holds it, and believes the lock of those that have no row.
"""

from alembic import op

revision = "0011"
down_revision = "0010"

# A row changes every second, without an index that would change with it.
DISPATCHERS = """
CREATE TABLE dispatchers (
    owner integer PRIMARY KEY,
    beat_at timestamptz NOT NULL DEFAULT now(),
    steady_since timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
"""

# Makes due at once what some dispatchers had leased, at most so much. The lease number stays: until another has
# claimed a delivery, an owner that was only slow may still record how it went.
REOPEN = """
CREATE FUNCTION reopen_heads(owners integer[], heads_max integer) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    lane_ids text[];
BEGIN
    WITH abandoned AS (
        SELECT job_id, target_id FROM heads WHERE owner = ANY (owners)
        ORDER BY job_id, target_id LIMIT heads_max
        FOR UPDATE SKIP LOCKED
    ), reopened AS (
        UPDATE heads SET owner = NULL, due_at = now()
        FROM abandoned WHERE heads.job_id = abandoned.job_id AND heads.target_id = abandoned.target_id
        RETURNING lane_id
    )
    SELECT array_agg(lane_id) INTO lane_ids FROM reopened;
    IF lane_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM wake_lanes(ARRAY(SELECT DISTINCT unnest(lane_ids)));
    RETURN cardinality(lane_ids);
END $$;
"""


def upgrade() -> None:
    op.execute(DISPATCHERS)
    op.execute(REOPEN)
