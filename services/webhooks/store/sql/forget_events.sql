CREATE OR REPLACE FUNCTION public.forget_events(after_at timestamp with time zone, after_id text, kept_min interval, kept_usual interval, account_ids text[], kept interval[], events_max integer)
 RETURNS TABLE(examined_count integer, forgotten_count integer, last_at timestamp with time zone, last_id text)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
    old text[];
    gone text[];
BEGIN
    WITH examined AS (
        SELECT event_id, account_id, environment, accepted_at FROM events
        WHERE (accepted_at, event_id) > (after_at, after_id) AND accepted_at < now() - kept_min
        ORDER BY accepted_at, event_id LIMIT events_max
    )
    SELECT count(*), (array_agg(accepted_at ORDER BY accepted_at DESC, event_id DESC))[1],
        (array_agg(event_id ORDER BY accepted_at DESC, event_id DESC))[1],
        array_agg(event_id) FILTER (WHERE accepted_at < now() - coalesce(own, kept_usual) AND NOT EXISTS (
            SELECT FROM redeliveries
            WHERE redeliveries.account_id = examined.account_id AND ended_at IS NULL
                AND redeliveries.environment = examined.environment
                AND accepted_at BETWEEN start_at AND end_at + interval '1 millisecond'
        ))
    INTO examined_count, last_at, last_id, old
    FROM examined LEFT JOIN unnest(account_ids, kept) AS _ (account_id, own) USING (account_id);

    WITH ended AS MATERIALIZED (
        SELECT event_id FROM deliveries WHERE event_id = ANY (old) AND outcome IS NOT NULL FOR UPDATE SKIP LOCKED
    )
    SELECT array_agg(id) INTO gone FROM unnest(old) AS _ (id)
    WHERE (SELECT count(*) FROM ended WHERE event_id = id) = (SELECT count(*) FROM deliveries WHERE event_id = id);

    DELETE FROM attempts USING deliveries
    WHERE event_id = ANY (gone) AND attempts.job_id = deliveries.job_id
        AND attempts.target_id = deliveries.target_id AND attempts.sequence = deliveries.sequence;
    DELETE FROM deliveries WHERE event_id = ANY (gone);
    DELETE FROM heard WHERE event_id = ANY (gone);
    DELETE FROM events WHERE event_id = ANY (gone);
    forgotten_count := coalesce(cardinality(gone), 0);
    RETURN NEXT;
END $function$;
