CREATE OR REPLACE FUNCTION public.wake_lanes(of_lanes text[])
 RETURNS void
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
BEGIN
    PERFORM FROM lanes WHERE lane_id = ANY (of_lanes) ORDER BY lane_id FOR UPDATE;
    UPDATE lanes SET next_due_at = least(next_due_at, now()) WHERE lane_id = ANY (of_lanes);
    PERFORM wake_turns(of_lanes);
END $function$;
