CREATE OR REPLACE FUNCTION public.note_places()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    owner record;
BEGIN
    INSERT INTO place_changes (account_id, environment, key_id, placed, waiting)
    SELECT account_id, environment, key_id, sign * placed, sign * waiting
    FROM (
        SELECT account_id, environment, key_id, CASE TG_OP WHEN 'DELETE' THEN -1 ELSE 1 END AS sign,
            count(admitted_at) AS placed, count(*) FILTER (WHERE admitted_at IS NULL AND state = 'pending') AS waiting
        FROM moved GROUP BY account_id, environment, key_id
    ) AS counted
    WHERE placed + waiting > 0;
    IF TG_OP = 'INSERT' THEN
        FOR owner IN SELECT DISTINCT account_id, environment FROM moved ORDER BY account_id, environment LOOP
            PERFORM fold_places(owner.account_id, owner.environment);
        END LOOP;
    END IF;
    RETURN NULL;
END $function$;
