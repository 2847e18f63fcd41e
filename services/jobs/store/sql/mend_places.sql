CREATE OR REPLACE FUNCTION public.mend_places()
 RETURNS TABLE(of_account text, of_environment text, of_key text, placed_more bigint, waiting_more bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
BEGIN
    PERFORM pg_advisory_xact_lock(7266430);
    RETURN QUERY
    WITH by_key AS (
        SELECT account_id, environment, key_id, count(admitted_at) AS placed,
            count(*) FILTER (WHERE admitted_at IS NULL AND state = 'pending') AS waiting
        FROM work GROUP BY account_id, environment, key_id
        UNION ALL
        SELECT account_id, environment, key_id, -placed, -waiting FROM place_changes
    ), difference AS (
        SELECT account_id, environment, key_id, CAST(sum(placed) AS bigint) AS placed,
            CAST(sum(waiting) AS bigint) AS waiting
        FROM (
            SELECT account_id, environment, counted.key_id, placed, waiting
            FROM by_key CROSS JOIN LATERAL (SELECT '' UNION SELECT by_key.key_id) AS counted (key_id)
            UNION ALL
            SELECT account_id, environment, key_id, -placed, -waiting FROM places
        ) AS counted
        GROUP BY account_id, environment, key_id
    ), noted AS (
        INSERT INTO place_changes (account_id, environment, key_id, placed, waiting)
        SELECT * FROM (
            SELECT account_id, environment, key_id, placed, waiting FROM difference WHERE key_id <> ''
            UNION ALL
            SELECT account_id, environment, '', sum(CASE key_id WHEN '' THEN placed ELSE -placed END),
                sum(CASE key_id WHEN '' THEN waiting ELSE -waiting END)
            FROM difference GROUP BY account_id, environment
        ) AS change
        WHERE placed <> 0 OR waiting <> 0
    )
    SELECT * FROM difference WHERE placed <> 0 OR waiting <> 0
    ORDER BY account_id, environment, key_id;
END $function$;
