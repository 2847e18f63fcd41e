CREATE OR REPLACE FUNCTION public.refill_test_balances(short_ids text[], contracts text[], standing_micros bigint[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM move_credits(array_agg(ROW(
        account_id, 'test', 'grant', 'refill_' || account_id || '_' || version + 1,
        standing.micros - available_micros, 0, 'The test balance refills itself.', NULL
    )::movement ORDER BY account_id), 'issued')
    FROM accounts
    JOIN balances USING (account_id)
    JOIN unnest(contracts, standing_micros) AS standing (contract, micros) USING (contract)
    WHERE account_id = ANY (short_ids) AND environment = 'test' AND available_micros < standing.micros
    HAVING count(*) > 0;
END $function$;
