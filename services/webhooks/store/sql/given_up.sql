CREATE OR REPLACE FUNCTION public.given_up(task redeliveries, deliveries_max integer)
 RETURNS SETOF deliveries
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
AS $function$
BEGIN
    IF task.endpoint_id IS NULL THEN
        RETURN QUERY SELECT * FROM deliveries
        WHERE account_id = task.account_id AND environment = task.environment
            AND coalesce(outcome, 'pending') = 'dead_lettered'
            AND accepted_at >= task.start_at AND accepted_at < task.end_at + interval '1 millisecond'
            AND (accepted_at, number) > (task.after_at, task.after_number)
        ORDER BY accepted_at, number LIMIT deliveries_max;
    ELSE
        RETURN QUERY SELECT * FROM deliveries
        WHERE account_id = task.account_id AND environment = task.environment
            AND target_id = task.endpoint_id AND target_id <> 'callback' AND coalesce(outcome, 'pending') = 'dead_lettered'
            AND accepted_at >= task.start_at AND accepted_at < task.end_at + interval '1 millisecond'
            AND (accepted_at, number) > (task.after_at, task.after_number)
        ORDER BY accepted_at, number LIMIT deliveries_max;
    END IF;
END $function$;
