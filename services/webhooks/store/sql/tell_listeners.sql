CREATE OR REPLACE FUNCTION public.tell_listeners(listener_ids text[], event_ids text[])
 RETURNS text[]
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
    told text[];
BEGIN
    PERFORM FROM listeners WHERE listener_id = ANY (listener_ids) ORDER BY listener_id FOR NO KEY UPDATE;
    WITH numbered AS (
        SELECT listener_id, event_id,
            CAST(last_number + row_number() OVER (PARTITION BY listener_id ORDER BY place) AS integer) AS number
        FROM unnest(listener_ids, event_ids) WITH ORDINALITY AS _ (listener_id, event_id, place)
            JOIN listeners USING (listener_id)
        WHERE ends_at > now()
    ), written AS (
        INSERT INTO heard (listener_id, number, event_id)
        SELECT listener_id, number, event_id FROM numbered ORDER BY listener_id, number
    ), counted AS (
        UPDATE listeners SET last_number = latest.number
        FROM (SELECT listener_id, max(number) AS number FROM numbered GROUP BY listener_id) AS latest
        WHERE listeners.listener_id = latest.listener_id
        RETURNING listeners.listener_id
    )
    SELECT array_agg(listener_id) INTO told FROM counted;
    RETURN coalesce(told, '{}');
END $function$;
