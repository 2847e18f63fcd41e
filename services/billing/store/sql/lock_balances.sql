CREATE OR REPLACE FUNCTION public.lock_balances(account_ids text[], environments text[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM FROM balances
    WHERE (account_id, environment) IN (SELECT * FROM unnest(account_ids, environments))
    ORDER BY account_id, environment
    FOR NO KEY UPDATE;
END $function$;
