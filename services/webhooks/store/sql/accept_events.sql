CREATE OR REPLACE FUNCTION public.accept_events(event_ids text[], job_ids text[], account_ids text[], environments text[], contracts text[], types text[], sequences integer[], target_urls text[], bodies bytea[], occurred timestamp with time zone[])
 RETURNS integer
 LANGUAGE sql
AS $function$
    SELECT stored_count FROM take_events(
        event_ids, job_ids, account_ids, environments, contracts, types, sequences, target_urls, bodies, occurred
    )
$function$;
