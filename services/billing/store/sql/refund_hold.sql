CREATE OR REPLACE FUNCTION public.refund_hold(new_id text, of_hold text, amount bigint, of_reason text)
 RETURNS hold_answer
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
DECLARE
    hold holds;
    earlier record;
    capture bigint;
BEGIN
    PERFORM lock_balances(array_agg(account_id), array_agg(environment)) FROM holds WHERE hold_id = of_hold;
    SELECT * INTO hold FROM holds WHERE hold_id = of_hold;
    IF NOT FOUND THEN
        RETURN hold_answer(1, 'HOLD_NOT_FOUND', hold);
    END IF;
    SELECT transaction_id INTO capture FROM transactions WHERE kind = 'capture' AND reference = of_hold;
    SELECT refers_to, amount_micros INTO earlier FROM transactions JOIN entries USING (transaction_id)
    WHERE kind = 'refund' AND reference = new_id AND bucket = 'available';
    IF FOUND THEN
        RETURN hold_answer(1, CASE
            WHEN (earlier.refers_to, earlier.amount_micros) = (capture, amount) THEN 'OK' ELSE 'REFUND_MISMATCH'
        END, hold);
    ELSIF hold.state <> 'captured' THEN
        RETURN hold_answer(1, 'HOLD_NOT_CAPTURED', hold);
    ELSIF hold.captured_micros - hold.refunded_micros < amount THEN
        RETURN hold_answer(1, 'REFUND_ABOVE_CHARGE', hold);
    END IF;
    UPDATE holds SET refunded_micros = refunded_micros + amount WHERE hold_id = of_hold RETURNING * INTO hold;
    PERFORM move_credits(ARRAY[ROW(
        hold.account_id, hold.environment, 'refund', new_id, amount, 0, of_reason, capture)::movement], 'revenue');
    RETURN hold_answer(1, 'OK', hold);
EXCEPTION WHEN unique_violation THEN
    RETURN hold_answer(1, 'REFUND_MISMATCH', hold);
END $function$;
