CREATE OR REPLACE FUNCTION public.record_attempts(job_ids text[], target_ids text[], lease_nos bigint[], outcomes text[], healths text[], waits interval[], started timestamp with time zone[], latencies integer[], statuses integer[], errors text[], excerpts bytea[], failing_max interval, lease interval)
 RETURNS TABLE(lease_no bigint, is_due boolean, is_disabled boolean)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
    disabled text[] := note_health(target_ids, healths, failing_max);
    due_lanes text[];
BEGIN
    PERFORM FROM (
        SELECT * FROM unnest(job_ids, target_ids, lease_nos) AS _ (job_id, target_id, lease_no)
        ORDER BY job_id, target_id
    ) AS ended CROSS JOIN LATERAL (
        SELECT FROM heads
        WHERE heads.job_id = ended.job_id AND heads.target_id = ended.target_id AND heads.lease_no = ended.lease_no
        LIMIT 1
        FOR UPDATE
    ) AS held;

    RETURN QUERY
    WITH ended AS (
        SELECT told.*, held.*, outcome IN ('delivered', 'dead_lettered') AS is_through
        FROM unnest(
            job_ids, target_ids, lease_nos, outcomes, waits, started, latencies, statuses, errors, excerpts
        ) AS told (job_id, target_id, lease_no, outcome, wait, started_at, latency_ms, status, error, excerpt)
        CROSS JOIN LATERAL (
            SELECT next_sequence AS sequence, attempt_count AS failed_count, postponement_count FROM heads
            WHERE heads.job_id = told.job_id AND heads.target_id = told.target_id AND heads.lease_no = told.lease_no
            LIMIT 1
        ) AS held
    ), tried AS (
        UPDATE deliveries SET attempt_count = attempt_count + 1,
            outcome = CASE WHEN is_through THEN ended.outcome END, ended_at = CASE WHEN is_through THEN now() END
        FROM ended
        WHERE ended.outcome <> 'postponed' AND deliveries.job_id = ended.job_id
            AND deliveries.target_id = ended.target_id AND deliveries.sequence = ended.sequence
        RETURNING ended.*, attempt_count AS number
    ), noted AS (
        INSERT INTO attempts
            (job_id, target_id, sequence, number, started_at, latency_ms, status, error, excerpt)
        SELECT job_id, target_id, sequence, number, started_at, latency_ms, status, error, excerpt FROM tried
    ), following AS (
        SELECT ended.*, (
            SELECT min(opened.sequence) FROM deliveries AS opened
            WHERE opened.job_id = ended.job_id AND opened.target_id = ended.target_id
                AND opened.outcome IS NULL AND NOT (is_through AND opened.sequence = ended.sequence)
        ) AS next_sequence
        FROM ended
    ), drained AS (
        DELETE FROM heads USING following
        WHERE following.next_sequence IS NULL
            AND heads.job_id = following.job_id AND heads.target_id = following.target_id
    ), advanced AS (
        UPDATE heads SET next_sequence = following.next_sequence, lease_no = NULL, owner = NULL,
            due_at = CASE WHEN following.next_sequence = sequence THEN now() + wait ELSE now() END,
            attempt_count = CASE WHEN following.next_sequence = sequence
                THEN failed_count + CAST(outcome = 'failed' AS integer) ELSE 0 END,
            postponement_count = CASE WHEN following.next_sequence = sequence AND outcome = 'postponed'
                THEN following.postponement_count + 1 ELSE 0 END
        FROM following
        WHERE following.next_sequence IS NOT NULL
            AND heads.job_id = following.job_id AND heads.target_id = following.target_id
    )
    SELECT lease_no, coalesce(next_sequence <> sequence, false), target_id = ANY (coalesce(disabled, '{}'))
    FROM following;

    -- A lane has taken these for due at the end of their lease. Now some are due sooner.
    SELECT array_agg(DISTINCT lane_id) INTO due_lanes
    FROM unnest(job_ids, target_ids) AS ended (job_id, target_id) CROSS JOIN LATERAL (
        SELECT lane_id, lease_no, due_at FROM heads
        WHERE heads.job_id = ended.job_id AND heads.target_id = ended.target_id
        LIMIT 1
    ) AS head
    WHERE lease_no IS NULL AND due_at < now() + lease;
    IF due_lanes IS NOT NULL THEN
        PERFORM wake_lanes(due_lanes);
    END IF;
END $function$;
