CREATE OR REPLACE FUNCTION public.wake_turns(of_lanes text[])
 RETURNS void
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
BEGIN
    INSERT INTO turns (account_id)
    SELECT DISTINCT account_id FROM lanes WHERE lane_id = ANY (of_lanes) ORDER BY account_id
    ON CONFLICT (account_id) DO UPDATE SET next_due_at = excluded.next_due_at
    WHERE excluded.next_due_at < turns.next_due_at;
END $function$;
