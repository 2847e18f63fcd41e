"""How many deliveries go out again: a batch is one statement and one commit, and the task remembers how far it is."""

from alembic import op

revision = "0004"
down_revision = "0003"

# Only what is given up is in the index that this walks; what cannot go out now, because its endpoint is disabled or
# gone, is looked at and left. Returns how many were looked at; 0 when there is nothing to do.
ADVANCE = """
CREATE FUNCTION advance_redelivery(deliveries_max integer) RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    task redeliveries;
    batch record;
    opened record;
BEGIN
    SELECT * INTO task FROM redeliveries WHERE ended_at IS NULL ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT array_agg(found.job_id) AS jobs, array_agg(found.target_id) AS targets, array_agg(found.sequence) AS sequences,
        count(*) AS count,
        (array_agg(found.accepted_at ORDER BY found.accepted_at DESC, found.number DESC))[1] AS last_at,
        (array_agg(found.number ORDER BY found.accepted_at DESC, found.number DESC))[1] AS last_number
    INTO batch
    FROM (
        SELECT * FROM deliveries
        WHERE account_id = task.account_id AND environment = task.environment AND outcome = 'dead_lettered'
            AND accepted_at >= task.start_at AND accepted_at < task.end_at + interval '1 millisecond'
            AND (accepted_at, number) > (task.after_at, task.after_number)
            AND (task.endpoint_id IS NULL OR target_id = task.endpoint_id)
        ORDER BY accepted_at, number LIMIT deliveries_max
    ) AS found;
    WITH reopened AS (
        UPDATE deliveries SET outcome = NULL, ended_at = NULL
        FROM unnest(batch.jobs, batch.targets, batch.sequences) AS found (job_id, target_id, sequence)
        WHERE deliveries.job_id = found.job_id AND deliveries.target_id = found.target_id
            AND deliveries.sequence = found.sequence AND outcome = 'dead_lettered'
            AND (deliveries.target_id = 'callback' OR EXISTS (
                SELECT FROM endpoints WHERE endpoint_id = deliveries.target_id AND is_enabled
            ))
        RETURNING deliveries.job_id, deliveries.target_id, deliveries.sequence
    )
    SELECT array_agg(job_id) AS jobs, array_agg(target_id) AS targets, array_agg(sequence) AS sequences, count(*) AS count
    INTO opened FROM reopened;
    IF opened.count > 0 THEN
        PERFORM open_heads(opened.jobs, opened.targets, opened.sequences);
    END IF;
    UPDATE redeliveries SET
        after_at = coalesce(batch.last_at, after_at), after_number = coalesce(batch.last_number, after_number),
        examined_count = examined_count + batch.count, redelivered_count = redelivered_count + opened.count,
        ended_at = CASE WHEN batch.count < deliveries_max THEN now() END
    WHERE redelivery_id = task.redelivery_id;
    RETURN greatest(batch.count, 1);
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute(ADVANCE)
