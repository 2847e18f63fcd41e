CREATE OR REPLACE FUNCTION public.note_place()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
BEGIN
    INSERT INTO place_changes (account_id, environment, key_id, placed, waiting)
    SELECT account_id, environment, key_id, sum(sign * placed), sum(sign * waiting)
    FROM (
        VALUES
            (OLD.account_id, OLD.environment, OLD.key_id, -1, OLD.admitted_at, OLD.state),
            (NEW.account_id, NEW.environment, NEW.key_id, 1, NEW.admitted_at, NEW.state)
    ) AS version (account_id, environment, key_id, sign, admitted_at, state)
    CROSS JOIN LATERAL (
        SELECT CAST(admitted_at IS NOT NULL AS integer) AS placed,
            CAST(admitted_at IS NULL AND state = 'pending' AS integer) AS waiting
    ) AS counted
    GROUP BY account_id, environment, key_id;
    IF OLD.admitted_at IS NULL AND NEW.admitted_at IS NOT NULL THEN
        PERFORM fold_places(NEW.account_id, NEW.environment);
    END IF;
    RETURN NULL;
END $function$;
