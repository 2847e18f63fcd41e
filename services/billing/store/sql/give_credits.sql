CREATE OR REPLACE FUNCTION public.give_credits(of_kind text, new_id text, of_account text, of_environment text, amount bigint, total_max bigint, of_actor text, of_reason text, OUT outcome text, OUT available bigint)
 RETURNS record
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
DECLARE
    balance balances;
    earlier record;
BEGIN
    SELECT * INTO balance FROM balances
    WHERE account_id = of_account AND environment = of_environment FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        outcome := 'ACCOUNT_NOT_FOUND';
        RETURN;
    END IF;
    available := balance.available_micros;
    SELECT * INTO earlier FROM transactions JOIN entries USING (transaction_id)
    WHERE kind = of_kind AND reference = new_id AND bucket = 'available';
    IF FOUND THEN
        outcome := CASE
            WHEN (earlier.account_id, earlier.environment, earlier.amount_micros)
                = (of_account, of_environment, amount) THEN 'OK'
            ELSE upper(of_kind) || '_MISMATCH'
        END;
        available := earlier.balance_micros;
    ELSIF balance.available_micros + balance.held_micros > total_max - amount THEN
        outcome := 'INVALID_FIELD';
    ELSIF balance.available_micros < -amount THEN
        outcome := 'CREDITS_INSUFFICIENT';
    ELSE
        PERFORM move_credits(ARRAY[ROW(
            of_account, of_environment, of_kind, new_id, amount, 0, of_reason, NULL)::movement], 'issued');
        INSERT INTO audit (actor, action, subject_id, reason, details)
        VALUES (of_actor, 'credits.' || of_kind, of_account, of_reason, jsonb_build_object(
            'id', new_id, 'environment', of_environment, 'amount_micros', amount));
        outcome := 'OK';
        available := balance.available_micros + amount;
    END IF;
EXCEPTION WHEN unique_violation THEN
    outcome := upper(of_kind) || '_MISMATCH';
END $function$;
