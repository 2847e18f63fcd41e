CREATE OR REPLACE FUNCTION public.create_holds(hold_ids text[], account_ids text[], environments text[], amounts bigint[], key_ids text[], contracts text[] DEFAULT '{}'::text[], standing_micros bigint[] DEFAULT '{}'::bigint[])
 RETURNS SETOF hold_answer
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
DECLARE
    today date;
    verdicts verdict[];
    made holds[];
    are_all_made boolean;
    short_ids text[];
BEGIN
    PERFORM lock_balances(account_ids, environments);
    today := clock_timestamp() AT TIME ZONE 'UTC';
    LOOP
        verdicts := weigh_holds(hold_ids, account_ids, environments, amounts, key_ids, today);
        WITH accepted AS MATERIALIZED (
            SELECT hold_id, account_id, environment, amount, key_id
            FROM unnest(hold_ids, account_ids, environments, amounts, key_ids, verdicts)
                AS item (hold_id, account_id, environment, amount, key_id, outcome)
            WHERE outcome = 'OK'
            ORDER BY hold_id
        ), inserted AS (
            INSERT INTO holds (hold_id, account_id, environment, amount_micros, key_id, spent_on)
            SELECT accepted.*, today FROM accepted
            ON CONFLICT DO NOTHING
            RETURNING holds AS hold
        )
        SELECT array_agg(hold), count(*) = (SELECT count(*) FROM accepted) INTO made, are_all_made FROM inserted;
        IF made IS NOT NULL THEN
            PERFORM spend(made);
            PERFORM move_credits(array_agg(ROW(
                account_id, environment, 'hold', hold_id, -amount_micros, amount_micros, '', NULL
            )::movement), 'revenue')
            FROM unnest(made);
        END IF;
        short_ids := NULL;
        IF 'test' = ANY (environments) THEN
            SELECT array_agg(DISTINCT account_id) INTO short_ids
            FROM unnest(account_ids, environments, amounts, verdicts)
                AS item (account_id, environment, amount, outcome)
            JOIN accounts USING (account_id)
            JOIN unnest(contracts, standing_micros) AS standing (contract, micros) USING (contract)
            WHERE outcome = 'CREDITS_INSUFFICIENT' AND environment = 'test' AND amount <= standing.micros;
            PERFORM refill_test_balances(short_ids, contracts, standing_micros) WHERE short_ids IS NOT NULL;
        END IF;
        -- Others may have used an id for another balance meanwhile: what it would have taken is free for those refused.
        -- After a refill the first of those refused is accepted, so there are no more rounds than holds.
        EXIT WHEN are_all_made AND short_ids IS NULL;
    END LOOP;
    RETURN QUERY
    SELECT item.position,
        CASE
            WHEN hold.hold_id IS NULL THEN item.outcome
            WHEN (hold.account_id, hold.environment, hold.amount_micros)
                = (item.account_id, item.environment, item.amount) THEN 'OK'
            ELSE 'HOLD_MISMATCH'
        END,
        hold.hold_id, hold.account_id, hold.environment, hold.amount_micros, hold.captured_micros,
        hold.refunded_micros, hold.state, hold.created_at,
        available_micros, limit_subject_id, limit_period, limit_micros, limit_spent_micros
    FROM unnest(hold_ids, account_ids, environments, amounts, verdicts) WITH ORDINALITY
        AS item (hold_id, account_id, environment, amount, outcome, available_micros,
            limit_subject_id, limit_period, limit_micros, limit_spent_micros, position)
    LEFT JOIN holds AS hold USING (hold_id);
END $function$;
