CREATE OR REPLACE FUNCTION public.open_heads(job_ids text[], target_ids text[], sequences integer[])
 RETURNS void
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
    opened_lanes text[];
BEGIN
    INSERT INTO heads (job_id, target_id, next_sequence, lane_id)
    SELECT job_id, target_id, min(sequence), min(lane_of(target_id, account_id, target_url))
    FROM deliveries JOIN unnest(job_ids, target_ids, sequences) AS opened (job_id, target_id, sequence)
        USING (job_id, target_id, sequence)
    GROUP BY job_id, target_id ORDER BY job_id, target_id
    ON CONFLICT (job_id, target_id) DO UPDATE
    SET next_sequence = excluded.next_sequence, due_at = now(), attempt_count = 0, postponement_count = 0
    WHERE excluded.next_sequence < heads.next_sequence AND heads.lease_no IS NULL;

    SELECT array_agg(DISTINCT lane_of(target_id, account_id, target_url)) INTO opened_lanes
    FROM deliveries JOIN unnest(job_ids, target_ids, sequences) AS opened (job_id, target_id, sequence)
        USING (job_id, target_id, sequence);
    INSERT INTO lanes (lane_id, account_id, endpoint_id)
    SELECT DISTINCT ON (lane_id) lane_id, account_id, nullif(target_id, 'callback')
    FROM deliveries JOIN unnest(job_ids, target_ids, sequences) AS opened (job_id, target_id, sequence)
        USING (job_id, target_id, sequence)
    CROSS JOIN LATERAL lane_of(target_id, account_id, target_url) AS lane_id
    ORDER BY lane_id
    ON CONFLICT (lane_id) DO UPDATE SET next_due_at = excluded.next_due_at
    WHERE excluded.next_due_at < lanes.next_due_at;
    PERFORM wake_turns(opened_lanes);
END $function$;
