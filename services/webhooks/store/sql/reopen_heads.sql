CREATE OR REPLACE FUNCTION public.reopen_heads(owners integer[], heads_max integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
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
END $function$;
