CREATE OR REPLACE FUNCTION public.take_redelivery_turn()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    INSERT INTO redelivery_turns (account_id) VALUES (NEW.account_id)
    -- Changes nothing, but waits for whoever is about to find that the account has no task.
    ON CONFLICT (account_id) DO UPDATE SET account_id = excluded.account_id;
    RETURN NULL;
END $function$;
