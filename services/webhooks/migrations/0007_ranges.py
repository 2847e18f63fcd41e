"""What is there takes turns too; each list of deliveries is one range of an index; redeliveries take turns."""

from alembic import op

revision = "0007"
down_revision = "0006"

# After the functions of the migration before have replaced those that knew of no turns.
FILL = """
LOCK TABLE lanes IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO turns (account_id) SELECT DISTINCT account_id FROM lanes ORDER BY account_id
ON CONFLICT (account_id) DO UPDATE SET next_due_at = least(turns.next_due_at, excluded.next_due_at);
CREATE INDEX lanes_turn_idx ON lanes (account_id, next_due_at);
"""

# In the order of every list, for every status: a list of all is put together from the newest of each.
INDEXES = """
CREATE INDEX deliveries_status_idx ON deliveries
    (account_id, environment, (coalesce(outcome, 'pending')), accepted_at DESC, number DESC);
CREATE INDEX deliveries_endpoint_idx ON deliveries
    (account_id, environment, target_id, (coalesce(outcome, 'pending')), accepted_at DESC, number DESC)
    WHERE target_id <> 'callback';
DROP INDEX deliveries_owner_idx;
DROP INDEX deliveries_target_idx;
DROP INDEX deliveries_open_idx;
DROP INDEX deliveries_dead_idx;
"""

# While an account has a task that runs, it has a turn.
REDELIVERY_TURNS = """
CREATE TABLE redelivery_turns (
    account_id text PRIMARY KEY,
    next_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX redelivery_turns_next_at_idx ON redelivery_turns (next_at);
DROP INDEX redeliveries_running_idx;
CREATE INDEX redeliveries_running_idx ON redeliveries (account_id, created_at) WHERE ended_at IS NULL;
CREATE FUNCTION take_redelivery_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO redelivery_turns (account_id) VALUES (NEW.account_id)
    -- Changes nothing, but waits for whoever is about to find that the account has no task.
    ON CONFLICT (account_id) DO UPDATE SET account_id = excluded.account_id;
    RETURN NULL;
END $$;
CREATE TRIGGER redeliveries_take_turn AFTER INSERT ON redeliveries
    FOR EACH ROW EXECUTE FUNCTION take_redelivery_turn();
INSERT INTO redelivery_turns (account_id) SELECT DISTINCT account_id FROM redeliveries WHERE ended_at IS NULL;
"""

# As in 0004, for the oldest task of the account that has waited longest, which then goes behind the others. Every batch
# is one range of an index, that of the endpoint where the task names one.
ADVANCE = """
CREATE FUNCTION given_up(task redeliveries, deliveries_max integer) RETURNS SETOF deliveries
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    IF task.endpoint_id IS NULL THEN
        RETURN QUERY SELECT * FROM deliveries
        WHERE account_id = task.account_id AND environment = task.environment
            AND coalesce(outcome, 'pending') = 'dead_lettered'
            AND accepted_at >= task.start_at AND accepted_at < task.end_at + interval '1 millisecond'
            AND (accepted_at, number) > (task.after_at, task.after_number)
        ORDER BY accepted_at, number LIMIT deliveries_max;
    ELSE
        RETURN QUERY SELECT * FROM deliveries
        WHERE account_id = task.account_id AND environment = task.environment
            AND target_id = task.endpoint_id AND target_id <> 'callback' AND coalesce(outcome, 'pending') = 'dead_lettered'
            AND accepted_at >= task.start_at AND accepted_at < task.end_at + interval '1 millisecond'
            AND (accepted_at, number) > (task.after_at, task.after_number)
        ORDER BY accepted_at, number LIMIT deliveries_max;
    END IF;
END $$;
CREATE OR REPLACE FUNCTION advance_redelivery(deliveries_max integer) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    turn redelivery_turns;
    task redeliveries;
    batch record;
    opened record;
BEGIN
    SELECT * INTO turn FROM redelivery_turns ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT * INTO task FROM redeliveries WHERE account_id = turn.account_id AND ended_at IS NULL
    ORDER BY created_at LIMIT 1 FOR UPDATE;
    IF NOT FOUND THEN
        DELETE FROM redelivery_turns WHERE account_id = turn.account_id;
        RETURN 0;
    END IF;
    SELECT array_agg(found.job_id) AS jobs, array_agg(found.target_id) AS targets, array_agg(found.sequence) AS sequences,
        count(*) AS count,
        (array_agg(found.accepted_at ORDER BY found.accepted_at DESC, found.number DESC))[1] AS last_at,
        (array_agg(found.number ORDER BY found.accepted_at DESC, found.number DESC))[1] AS last_number
    INTO batch FROM given_up(task, deliveries_max) AS found;
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
    DELETE FROM redelivery_turns WHERE account_id = turn.account_id AND NOT EXISTS (
        SELECT FROM redeliveries WHERE account_id = turn.account_id AND ended_at IS NULL
    );
    UPDATE redelivery_turns SET next_at = clock_timestamp() WHERE account_id = turn.account_id;
    RETURN greatest(batch.count, 1);
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (FILL, INDEXES, REDELIVERY_TURNS, ADVANCE):
        op.execute(part)
