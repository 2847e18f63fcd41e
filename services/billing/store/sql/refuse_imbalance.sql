CREATE OR REPLACE FUNCTION public.refuse_imbalance()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF EXISTS (
        SELECT FROM added LEFT JOIN transactions USING (transaction_id)
        GROUP BY transaction_id HAVING sum(amount_micros) <> 0 OR count(version) = 0
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation',
            MESSAGE = 'the entries of a transaction are written together, after it, and add to zero';
    END IF;
    RETURN NULL;
END $function$;
