"""Accounts take turns: a claim goes to accounts first, then to their lanes, then to what is due in each.

Whoever waits for rows locks those of turns after those of lanes. A claim takes a turn, then its lanes and their heads,
and skips rows instead of waiting.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

# `next_due_at` is never later than the first of the account's lanes is due, unless that is due already: an account that
# was served goes to the end of those that are due. While an account has a lane it has a turn.
TURNS = """
CREATE TABLE turns (
    account_id text PRIMARY KEY,
    next_due_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX turns_next_due_at_idx ON turns (next_due_at);
CREATE FUNCTION wake_turns(of_lanes text[]) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO turns (account_id)
    SELECT DISTINCT account_id FROM lanes WHERE lane_id = ANY (of_lanes) ORDER BY account_id
    ON CONFLICT (account_id) DO UPDATE SET next_due_at = excluded.next_due_at
    WHERE excluded.next_due_at < turns.next_due_at;
END $$;
"""

# As in 0003, and turns follow.
OPEN_HEADS = """
CREATE OR REPLACE FUNCTION open_heads(job_ids text[], target_ids text[], sequences integer[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    opened_lanes text[];
BEGIN
    INSERT INTO heads (job_id, target_id, next_sequence, lane_id)
    SELECT job_id, target_id, min(sequence), min(lane_of(target_id, account_id, target_url))
    FROM deliveries JOIN unnest(job_ids, target_ids, sequences) AS opened (job_id, target_id, sequence)
        USING (job_id, target_id, sequence)
    GROUP BY job_id, target_id ORDER BY job_id, target_id
    ON CONFLICT (job_id, target_id) DO UPDATE
    SET next_sequence = excluded.next_sequence, due_at = now(), attempt_count = 0, postponement_count = 0
    WHERE excluded.next_sequence < heads.next_sequence AND heads.lease_no IS NULL;

    SELECT array_agg(DISTINCT lane_of(target_id, account_id, target_url)) INTO opened_lanes
    FROM deliveries JOIN unnest(job_ids, target_ids, sequences) AS opened (job_id, target_id, sequence)
        USING (job_id, target_id, sequence);
    INSERT INTO lanes (lane_id, account_id, endpoint_id)
    SELECT DISTINCT ON (lane_id) lane_id, account_id, nullif(target_id, 'callback')
    FROM deliveries JOIN unnest(job_ids, target_ids, sequences) AS opened (job_id, target_id, sequence)
        USING (job_id, target_id, sequence)
    CROSS JOIN LATERAL lane_of(target_id, account_id, target_url) AS lane_id
    ORDER BY lane_id
    ON CONFLICT (lane_id) DO UPDATE SET next_due_at = excluded.next_due_at
    WHERE excluded.next_due_at < lanes.next_due_at;
    PERFORM wake_turns(opened_lanes);
END $$;
"""

WAKE_LANES = """
CREATE OR REPLACE FUNCTION wake_lanes(of_lanes text[]) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM lanes WHERE lane_id = ANY (of_lanes) ORDER BY lane_id FOR UPDATE;
    UPDATE lanes SET next_due_at = least(next_due_at, now()) WHERE lane_id = ANY (of_lanes);
    PERFORM wake_turns(of_lanes);
END $$;
"""

# A receiver is a host and port that an account has us deliver to, however many endpoints and callbacks name it, and in
# however many ways: with another case, with a final dot, or with the port that is usual for the scheme.
RECEIVER_OF = """
CREATE FUNCTION receiver_of(account_id text, target_url text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN account_id || ' ' || left(regexp_replace(
    regexp_replace(
        lower(coalesce(substring(target_url FROM '^[^/]*//[^/?#]*'), '')),
        '^(http://.*)[:]0*80$|^(https://.*)[:]0*443$', '\\1\\2'
    ), '\\.(?=([:][0-9]*)?$)', ''
), 255);
"""

# What signs, encrypted, in this order.
SEALED_SECRETS = """
CREATE FUNCTION sealed_secrets_of(of_target text, of_account text, of_environment text, of_contract text)
RETURNS bytea[] LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN of_target = 'callback'
        THEN ARRAY(SELECT sealed_secret FROM signing_secrets WHERE account_id = of_account)
        ELSE ARRAY(
            SELECT secret FROM endpoints CROSS JOIN LATERAL unnest(ARRAY[
                sealed_secret, next_sealed_secret, CASE WHEN previous_until > now() THEN previous_sealed_secret END
            ]) WITH ORDINALITY AS _ (secret, place)
            WHERE endpoint_id = of_target AND secret IS NOT NULL ORDER BY place
        )
    END
$$;
"""

# Leases due heads, of each receiver and account as many as it has room for: where the caller names none, `receiver_max`
# and `account_max`. Every account whose turn it is gets the same share, and so does each of its lanes. An account or lane
# that was served goes behind those that are due as well. Turns and lanes that somebody is changing are left for the
# next claim, which follows that change.
#
# As many turns are looked at as there may be accounts that have no room at any of their receivers, and a whole claim
# besides; so what is full hides nobody. `is_cut`: more may be due that there is room for.
CLAIM = """
CREATE FUNCTION claim_in_turn(
    of_owner integer, deliveries_max integer, lease interval, receiver_max integer, account_max integer,
    receiver_ids text[], receiver_rooms integer[], account_ids text[], account_rooms integer[]
) RETURNS TABLE (
    is_cut boolean, job_id text, target_id text, receiver_id text, account_id text, environment text,
    lease_no bigint, attempt_count integer, postponement_count integer, event_id text, contract text, type text,
    target_url text, body bytea, sealed_secrets bytea[]
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
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
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (TURNS, OPEN_HEADS, WAKE_LANES, RECEIVER_OF, SEALED_SECRETS, CLAIM):
        op.execute(part)
