CREATE OR REPLACE FUNCTION public.copy_signing_secret()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    INSERT INTO account_secrets (account_id, environment, sealed_secret)
    VALUES (NEW.account_id, 'live', NEW.sealed_secret), (NEW.account_id, 'test', NEW.sealed_secret)
    ON CONFLICT (account_id, environment) DO NOTHING;
    RETURN NULL;
END $function$;
