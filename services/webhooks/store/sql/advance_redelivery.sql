CREATE OR REPLACE FUNCTION public.advance_redelivery(deliveries_max integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
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
END $function$;
