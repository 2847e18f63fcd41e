CREATE OR REPLACE FUNCTION public.claim_in_turn(of_owner integer, deliveries_max integer, lease interval, receiver_max integer, account_max integer, receiver_ids text[], receiver_rooms integer[], account_ids text[], account_rooms integer[])
 RETURNS TABLE(is_cut boolean, job_id text, target_id text, receiver_id text, account_id text, environment text, lease_no bigint, attempt_count integer, postponement_count integer, event_id text, contract text, type text, target_url text, body bytea, sealed_secrets bytea[])
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
    full_receivers text[] := ARRAY(SELECT id FROM unnest(receiver_ids, receiver_rooms) AS _ (id, room) WHERE room <= 0);
    full_accounts text[] := ARRAY(SELECT id FROM unnest(account_ids, account_rooms) AS _ (id, room) WHERE room <= 0);
    turns_max integer := deliveries_max + cardinality(full_receivers);
    taken text[];
    open_count integer;
    share integer;
    open_lanes text[];
    open_receivers text[];
    quotas integer[];
    leased_jobs text[];
    leased_targets text[];
    leased_receivers text[];
BEGIN
    SELECT array_agg(account_id) INTO taken FROM (
        SELECT account_id FROM turns
        WHERE next_due_at <= now() AND account_id <> ALL (full_accounts)
        ORDER BY next_due_at LIMIT turns_max
        FOR UPDATE SKIP LOCKED
    ) AS due;
    IF taken IS NULL THEN
        RETURN;
    END IF;

    SELECT count(*) INTO open_count
    FROM unnest(taken) AS turn (id) CROSS JOIN LATERAL (
        SELECT FROM lanes LEFT JOIN endpoints ON endpoints.endpoint_id = lanes.endpoint_id
        WHERE lanes.account_id = turn.id AND next_due_at <= now() AND (lanes.endpoint_id IS NULL OR is_enabled)
            AND receiver_of(lanes.account_id, coalesce(url, substr(lane_id, length(lanes.account_id) + 2))) <> ALL (full_receivers)
        LIMIT 1
    ) AS open;
    share := ceil(CAST(deliveries_max AS numeric) / greatest(open_count, 1));

    SELECT array_agg(lane_id), array_agg(receiver_id), array_agg(quota)
    INTO open_lanes, open_receivers, quotas
    FROM (
        SELECT open.*, CAST(ceil(CAST(most AS numeric) / count(*) OVER (PARTITION BY turn.id)) AS integer) AS quota
        FROM unnest(taken) AS turn (id)
        LEFT JOIN unnest(account_ids, account_rooms) AS busy (id, room) ON busy.id = turn.id
        CROSS JOIN LATERAL least(share, coalesce(room, account_max)) AS most
        CROSS JOIN LATERAL (
            SELECT lane_id, receiver_of(lanes.account_id, coalesce(url, substr(lane_id, length(lanes.account_id) + 2))) AS receiver_id
            FROM lanes LEFT JOIN endpoints ON endpoints.endpoint_id = lanes.endpoint_id
            WHERE lanes.account_id = turn.id AND next_due_at <= now() AND (lanes.endpoint_id IS NULL OR is_enabled)
                AND receiver_of(lanes.account_id, coalesce(url, substr(lane_id, length(lanes.account_id) + 2))) <> ALL (full_receivers)
            ORDER BY next_due_at LIMIT most
            FOR UPDATE OF lanes SKIP LOCKED
        ) AS open
    ) AS found;

    WITH open AS (
        SELECT lane_id, account_id, receiver_id, quota, coalesce(room, receiver_max) AS receiver_room
        FROM unnest(open_lanes, open_receivers, quotas) AS _ (lane_id, receiver_id, quota)
        JOIN lanes USING (lane_id)
        LEFT JOIN unnest(receiver_ids, receiver_rooms) AS busy (receiver_id, room) USING (receiver_id)
    ), due AS (
        SELECT open.*, found.*, row_number() OVER (PARTITION BY open.lane_id ORDER BY due_at) AS place
        FROM open CROSS JOIN LATERAL (
            SELECT job_id, target_id, due_at FROM heads
            WHERE heads.lane_id = open.lane_id AND due_at <= now()
            ORDER BY due_at LIMIT least(quota, receiver_room)
            FOR UPDATE SKIP LOCKED
        ) AS found
    ), received AS (
        SELECT *, row_number() OVER (PARTITION BY receiver_id ORDER BY place, due_at) AS receiver_place FROM due
    ), fitting AS (
        SELECT *, row_number() OVER (PARTITION BY account_id ORDER BY place, due_at) AS account_place
        FROM received WHERE receiver_place <= receiver_room
    ), chosen AS (
        SELECT job_id, target_id, receiver_id
        FROM fitting LEFT JOIN unnest(account_ids, account_rooms) AS busy (account_id, room) USING (account_id)
        WHERE account_place <= least(share, coalesce(room, account_max))
        ORDER BY account_place, due_at LIMIT deliveries_max
    ), leased AS (
        UPDATE heads SET lease_no = nextval('lease_numbers'), owner = of_owner, due_at = now() + lease
        FROM chosen WHERE heads.job_id = chosen.job_id AND heads.target_id = chosen.target_id
        RETURNING heads.job_id, heads.target_id, receiver_id
    )
    SELECT array_agg(job_id), array_agg(target_id), array_agg(receiver_id),
        coalesce((SELECT bool_or(place >= quota AND quota < receiver_room) FROM due), false)
    INTO leased_jobs, leased_targets, leased_receivers, is_cut FROM leased;

    WITH next AS (
        SELECT lane_id, (SELECT min(due_at) FROM heads WHERE heads.lane_id = opened.lane_id) AS due_at
        FROM unnest(open_lanes) AS opened (lane_id)
    ), emptied AS (
        DELETE FROM lanes USING next WHERE lanes.lane_id = next.lane_id AND due_at IS NULL
    )
    UPDATE lanes SET next_due_at = greatest(due_at, now())
    FROM next WHERE lanes.lane_id = next.lane_id AND due_at IS NOT NULL;

    WITH next AS (
        SELECT id, (SELECT min(next_due_at) FROM lanes WHERE lanes.account_id = turn.id) AS due_at
        FROM unnest(taken) AS turn (id)
    ), emptied AS (
        DELETE FROM turns USING next WHERE turns.account_id = next.id AND due_at IS NULL
    )
    UPDATE turns SET next_due_at = greatest(due_at, now())
    FROM next WHERE turns.account_id = next.id AND due_at IS NOT NULL;

    RETURN QUERY
    SELECT is_cut OR cardinality(taken) = turns_max, claimed.*
    FROM (VALUES (1)) AS always LEFT JOIN (
        SELECT heads.job_id, heads.target_id, leased.receiver_id, deliveries.account_id, deliveries.environment,
            heads.lease_no, heads.attempt_count, heads.postponement_count, events.event_id, events.contract, events.type,
            coalesce(endpoints.url, deliveries.target_url), events.body,
            sealed_secrets_of(heads.target_id, deliveries.account_id, deliveries.environment, events.contract)
        FROM unnest(leased_jobs, leased_targets, leased_receivers) AS leased (job_id, target_id, receiver_id)
        JOIN heads ON heads.job_id = leased.job_id AND heads.target_id = leased.target_id
        JOIN deliveries ON deliveries.job_id = heads.job_id AND deliveries.target_id = heads.target_id
            AND deliveries.sequence = heads.next_sequence
        JOIN events ON events.event_id = deliveries.event_id
        LEFT JOIN endpoints ON endpoint_id = heads.target_id
        WHERE heads.target_id = 'callback' OR endpoint_id IS NOT NULL
    ) AS claimed ON true;
END $function$;
