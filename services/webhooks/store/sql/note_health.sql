CREATE OR REPLACE FUNCTION public.note_health(target_ids text[], healths text[], failing_max interval)
 RETURNS text[]
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
    disabled text[];
BEGIN
    WITH seen AS (
        SELECT target_id, bool_or(health = 'well') AS is_well, bool_or(health = 'gone') AS is_gone
        FROM unnest(target_ids, healths) AS _ (target_id, health)
        WHERE health <> 'unknown' GROUP BY target_id
    ), changing AS (
        SELECT endpoint_id, is_well, CASE
            WHEN is_gone THEN 'gone'
            WHEN NOT is_well AND failing_since <= now() - failing_max THEN 'failing'
        END AS reason
        FROM endpoints JOIN seen ON endpoint_id = target_id
        WHERE is_enabled AND (is_gone OR is_well = (failing_since IS NOT NULL)
            OR (NOT is_well AND failing_since <= now() - failing_max))
        ORDER BY endpoint_id
        FOR NO KEY UPDATE OF endpoints
    ), changed AS (
        UPDATE endpoints SET
            failing_since = CASE WHEN NOT is_well THEN coalesce(failing_since, now()) END,
            is_enabled = reason IS NULL, disabled_reason = reason, notice_due = reason IS NOT NULL,
            updated_at = CASE WHEN reason IS NULL THEN updated_at ELSE now() END
        FROM changing WHERE endpoints.endpoint_id = changing.endpoint_id
        RETURNING endpoints.endpoint_id, reason, url, failing_since
    ), written AS (
        INSERT INTO audit (actor, action, subject_id, reason, details)
        SELECT 'webhooks', 'endpoint.disable', endpoint_id, reason,
            jsonb_build_object('url', url, 'failing_since', failing_since)
        FROM changed WHERE reason IS NOT NULL ORDER BY endpoint_id
    )
    SELECT array_agg(endpoint_id) INTO disabled FROM changed WHERE reason IS NOT NULL;
    RETURN disabled;
END $function$;
