CREATE OR REPLACE FUNCTION public.expire_holds(holds_max integer)
 RETURNS bigint
 LANGUAGE sql
AS $function$
    WITH overdue AS MATERIALIZED (
        SELECT hold_id FROM holds
        WHERE resolved_at IS NULL AND expires_at <= clock_timestamp()
        ORDER BY expires_at LIMIT holds_max
    ), batch AS (
        SELECT array_agg(hold_id) AS ids, array_agg('expired'::text) AS states,
               array_agg(0::bigint) AS captures, array_agg(0) AS lasts
        FROM overdue
    )
    SELECT count(*) FROM batch, change_holds(ids, states, captures, lasts);
$function$;
