CREATE OR REPLACE FUNCTION public.close_disabled(heads_max integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
    closed_lanes text[] := ARRAY(
        SELECT lane_id FROM lanes
        WHERE endpoint_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM endpoints WHERE endpoints.endpoint_id = lanes.endpoint_id AND is_enabled
        )
        LIMIT heads_max
    );
    closed_jobs text[];
    closed_targets text[];
BEGIN
    -- Nobody may enable one again while its heads are being closed.
    PERFORM FROM endpoints WHERE endpoint_id = ANY (closed_lanes) ORDER BY endpoint_id FOR SHARE;
    SELECT array_agg(job_id), array_agg(target_id) INTO closed_jobs, closed_targets FROM (
        SELECT job_id, target_id FROM heads
        WHERE lane_id = ANY (closed_lanes) AND (lease_no IS NULL OR due_at <= now())
            AND NOT EXISTS (SELECT FROM endpoints WHERE endpoint_id = lane_id AND is_enabled)
        ORDER BY job_id, target_id LIMIT heads_max
        FOR UPDATE SKIP LOCKED
    ) AS waiting;
    UPDATE deliveries SET outcome = 'dead_lettered', ended_at = now()
    FROM unnest(closed_jobs, closed_targets) AS closed (job_id, target_id)
    WHERE deliveries.job_id = closed.job_id AND deliveries.target_id = closed.target_id AND outcome IS NULL;
    DELETE FROM heads USING unnest(closed_jobs, closed_targets) AS closed (job_id, target_id)
    WHERE heads.job_id = closed.job_id AND heads.target_id = closed.target_id;

    PERFORM FROM lanes WHERE lane_id = ANY (closed_lanes) ORDER BY lane_id FOR UPDATE;
    DELETE FROM lanes
    WHERE lane_id = ANY (closed_lanes) AND NOT EXISTS (SELECT FROM heads WHERE heads.lane_id = lanes.lane_id);
    RETURN coalesce(cardinality(closed_jobs), 0);
END $function$;
