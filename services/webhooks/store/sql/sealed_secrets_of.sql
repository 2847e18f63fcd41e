CREATE OR REPLACE FUNCTION public.sealed_secrets_of(of_target text, of_account text, of_environment text, of_contract text)
 RETURNS bytea[]
 LANGUAGE sql
 STABLE
AS $function$
    SELECT CASE WHEN of_target = 'callback'
        THEN ARRAY(
            SELECT secret FROM account_secrets CROSS JOIN LATERAL unnest(ARRAY[
                sealed_secret, next_sealed_secret, CASE WHEN previous_until > now() THEN previous_sealed_secret END
            ]) WITH ORDINALITY AS _ (secret, place)
            WHERE account_id = of_account AND environment = of_environment
                AND (is_signing OR of_contract <> 'seedancee2') AND secret IS NOT NULL
            ORDER BY place
        )
        ELSE ARRAY(
            SELECT secret FROM endpoints CROSS JOIN LATERAL unnest(ARRAY[
                sealed_secret, next_sealed_secret, CASE WHEN previous_until > now() THEN previous_sealed_secret END
            ]) WITH ORDINALITY AS _ (secret, place)
            WHERE endpoint_id = of_target AND secret IS NOT NULL ORDER BY place
        )
    END
$function$;
