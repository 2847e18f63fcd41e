CREATE OR REPLACE FUNCTION public.forget_listeners(listeners_max integer, heard_max integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
    ended text[];
    heard_count integer;
    listener_count integer;
BEGIN
    ended := ARRAY(
        SELECT listener_id FROM listeners WHERE ends_at < now()
        ORDER BY ends_at LIMIT listeners_max FOR UPDATE SKIP LOCKED
    );
    WITH chosen AS (
        SELECT heard.listener_id, heard.number FROM heard WHERE listener_id = ANY (ended)
        ORDER BY heard.listener_id, heard.number LIMIT heard_max FOR UPDATE SKIP LOCKED
    )
    DELETE FROM heard USING chosen
    WHERE heard.listener_id = chosen.listener_id AND heard.number = chosen.number;
    GET DIAGNOSTICS heard_count = ROW_COUNT;
    DELETE FROM listeners WHERE listener_id = ANY (ended)
        AND NOT EXISTS (SELECT FROM heard WHERE heard.listener_id = listeners.listener_id);
    GET DIAGNOSTICS listener_count = ROW_COUNT;
    RETURN heard_count + listener_count;
END $function$;
