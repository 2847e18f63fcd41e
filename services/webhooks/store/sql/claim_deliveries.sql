CREATE OR REPLACE FUNCTION public.claim_deliveries(of_owner integer, deliveries_max integer, lease interval, lane_max integer, account_max integer, lane_ids text[], lane_rooms integer[], account_ids text[], account_rooms integer[])
 RETURNS TABLE(job_id text, target_id text, lane_id text, account_id text, lease_no bigint, attempt_count integer, postponement_count integer, event_id text, contract text, type text, target_url text, body bytea, sealed_secrets bytea[])
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
    full_lanes text[] := ARRAY(SELECT id FROM unnest(lane_ids, lane_rooms) AS _ (id, room) WHERE room <= 0);
    full_accounts text[] := ARRAY(SELECT id FROM unnest(account_ids, account_rooms) AS _ (id, room) WHERE room <= 0);
    open_lanes text[];
    leased_jobs text[];
    leased_targets text[];
BEGIN
    SELECT array_agg(lane_id) INTO open_lanes FROM (
        SELECT lane_id FROM lanes
        WHERE next_due_at <= now() AND lane_id <> ALL (full_lanes) AND account_id <> ALL (full_accounts)
            AND (endpoint_id IS NULL OR EXISTS (
                SELECT FROM endpoints WHERE endpoints.endpoint_id = lanes.endpoint_id AND is_enabled
            ))
        ORDER BY next_due_at LIMIT deliveries_max
        FOR UPDATE SKIP LOCKED
    ) AS due;
    IF open_lanes IS NULL THEN
        RETURN;
    END IF;

    WITH due AS (
        SELECT found.*, account_id, row_number() OVER (PARTITION BY account_id ORDER BY due_at) AS place
        FROM lanes LEFT JOIN unnest(lane_ids, lane_rooms) AS busy (lane_id, room) USING (lane_id)
        CROSS JOIN LATERAL (
            SELECT job_id, target_id, due_at FROM heads
            WHERE heads.lane_id = lanes.lane_id AND due_at <= now()
            ORDER BY due_at LIMIT coalesce(room, lane_max)
            FOR UPDATE SKIP LOCKED
        ) AS found
        WHERE lane_id = ANY (open_lanes)
    ), chosen AS (
        SELECT job_id, target_id
        FROM due LEFT JOIN unnest(account_ids, account_rooms) AS busy (account_id, room) USING (account_id)
        WHERE place <= coalesce(room, account_max)
        ORDER BY due_at LIMIT deliveries_max
    ), leased AS (
        UPDATE heads SET lease_no = nextval('lease_numbers'), owner = of_owner, due_at = now() + lease
        FROM chosen WHERE heads.job_id = chosen.job_id AND heads.target_id = chosen.target_id
        RETURNING heads.job_id, heads.target_id
    )
    SELECT array_agg(job_id), array_agg(target_id) INTO leased_jobs, leased_targets FROM leased;

    WITH next AS (
        SELECT lane_id, (SELECT min(due_at) FROM heads WHERE heads.lane_id = opened.lane_id) AS due_at
        FROM unnest(open_lanes) AS opened (lane_id)
    ), emptied AS (
        DELETE FROM lanes USING next WHERE lanes.lane_id = next.lane_id AND due_at IS NULL
    )
    UPDATE lanes SET next_due_at = due_at FROM next WHERE lanes.lane_id = next.lane_id AND due_at IS NOT NULL;

    RETURN QUERY
    SELECT heads.job_id, heads.target_id, heads.lane_id, deliveries.account_id, heads.lease_no,
        heads.attempt_count, heads.postponement_count, events.event_id, events.contract, events.type,
        coalesce(endpoints.url, deliveries.target_url), events.body,
        array_remove(CASE WHEN endpoint_id IS NULL THEN ARRAY[signing_secrets.sealed_secret] ELSE ARRAY[
            endpoints.sealed_secret, next_sealed_secret, CASE WHEN previous_until > now() THEN previous_sealed_secret END
        ] END, NULL)
    FROM unnest(leased_jobs, leased_targets) AS leased (job_id, target_id)
    JOIN heads USING (job_id, target_id)
    JOIN deliveries ON deliveries.job_id = heads.job_id AND deliveries.target_id = heads.target_id
        AND deliveries.sequence = heads.next_sequence
    JOIN events ON events.event_id = deliveries.event_id
    LEFT JOIN endpoints ON endpoint_id = heads.target_id
    LEFT JOIN signing_secrets ON heads.target_id = 'callback' AND signing_secrets.account_id = events.account_id
    WHERE heads.target_id = 'callback' OR endpoint_id IS NOT NULL;
END $function$;
