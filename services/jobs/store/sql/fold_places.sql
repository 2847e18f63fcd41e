CREATE OR REPLACE FUNCTION public.fold_places(of_account text, of_environment text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE
    folded_from CONSTANT integer := 16;
BEGIN
    IF (
        SELECT count(*) < folded_from FROM (
            SELECT FROM place_changes WHERE account_id = of_account AND environment = of_environment LIMIT folded_from
        ) AS noted
    ) THEN
        RETURN;
    END IF;
    WITH noted AS (
        DELETE FROM place_changes WHERE account_id = of_account AND environment = of_environment
        RETURNING key_id, placed, waiting
    ), summed AS (
        SELECT counted.key_id, sum(placed) AS placed, sum(waiting) AS waiting
        FROM noted CROSS JOIN LATERAL (SELECT '' UNION SELECT noted.key_id) AS counted (key_id)
        GROUP BY counted.key_id
    )
    INSERT INTO places AS known (account_id, environment, key_id, placed, waiting)
    SELECT of_account, of_environment, key_id, placed, waiting FROM summed ORDER BY key_id
    ON CONFLICT (account_id, environment, key_id) DO UPDATE SET
        placed = greatest(known.placed + excluded.placed, 0), waiting = greatest(known.waiting + excluded.waiting, 0);
END $function$;
