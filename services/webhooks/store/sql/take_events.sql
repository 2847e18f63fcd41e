CREATE OR REPLACE FUNCTION public.take_events(event_ids text[], job_ids text[], account_ids text[], environments text[], contracts text[], types text[], sequences integer[], target_urls text[], bodies bytea[], occurred timestamp with time zone[])
 RETURNS TABLE(stored_count integer, told text[])
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
    open_jobs text[];
    open_targets text[];
    open_sequences integer[];
    told_listeners text[];
    told_events text[];
BEGIN
    WITH wanted AS (
        SELECT * FROM unnest(
            event_ids, job_ids, account_ids, environments, contracts, types, sequences, target_urls, bodies, occurred
        ) WITH ORDINALITY
        AS _ (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body, occurred_at, place)
    ), targets AS (
        SELECT event_id, 'callback' AS target_id, target_url, true AS is_enabled FROM wanted WHERE target_url <> ''
        UNION ALL
        SELECT event_id, endpoint_id, url, is_enabled
        FROM wanted JOIN endpoints USING (account_id, environment)
        WHERE type = ANY (events) AND endpoint_id <> job_id
    ), listening AS (
        SELECT event_id, listener_id, place FROM wanted JOIN listeners USING (account_id, environment)
        WHERE type = ANY (events) AND ends_at > now()
    ), stored AS (
        INSERT INTO events
            (event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at)
        SELECT event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at
        FROM wanted
        WHERE event_id IN (SELECT event_id FROM targets UNION ALL SELECT event_id FROM listening) ORDER BY event_id
        ON CONFLICT (event_id) DO NOTHING
        RETURNING event_id, job_id, account_id, environment, sequence
    ), added AS (
        INSERT INTO deliveries
            (job_id, target_id, sequence, event_id, target_url, account_id, environment, outcome, ended_at)
        SELECT job_id, target_id, sequence, event_id, target_url, account_id, environment,
            CASE WHEN NOT is_enabled THEN 'dead_lettered' END, CASE WHEN NOT is_enabled THEN now() END
        FROM stored JOIN targets USING (event_id) ORDER BY job_id, sequence, target_id
        RETURNING job_id, target_id, sequence, outcome
    ), telling AS (
        SELECT array_agg(listener_id ORDER BY place) AS listener_ids, array_agg(event_id ORDER BY place) AS event_ids
        FROM listening JOIN stored USING (event_id)
    )
    SELECT (SELECT count(*) FROM stored), array_agg(job_id), array_agg(target_id), array_agg(sequence),
        (SELECT listener_ids FROM telling), (SELECT event_ids FROM telling)
    INTO stored_count, open_jobs, open_targets, open_sequences, told_listeners, told_events
    FROM added WHERE outcome IS NULL;
    told := CASE WHEN told_listeners IS NULL THEN '{}' ELSE tell_listeners(told_listeners, told_events) END;
    IF open_jobs IS NOT NULL THEN
        PERFORM open_heads(open_jobs, open_targets, open_sequences);
    END IF;
    RETURN NEXT;
END $function$;
