CREATE OR REPLACE FUNCTION public.hold_answer(at_position bigint, outcome text, hold holds)
 RETURNS hold_answer
 LANGUAGE sql
 IMMUTABLE
AS $function$
    SELECT at_position, outcome, hold.hold_id, hold.account_id, hold.environment, hold.amount_micros,
           hold.captured_micros, hold.refunded_micros, hold.state, hold.created_at,
           NULL::bigint, NULL, NULL, NULL::bigint, NULL::bigint
$function$;
