"""How events enter, are claimed and are recorded: each a function, so that it is one statement and one commit.

Inside, every statement sees what was committed before it, which one long statement would not. Whoever waits for rows
locks them in this order, and those of one table in the order of their key, so that nobody waits in a circle:
endpoints, events, heads, deliveries, lanes. What takes a lane and then its heads skips rows instead of waiting.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

# Makes the heads of open deliveries, or moves a head back to a delivery that was reopened, with a new schedule. A head
# in somebody's hands stays as it is: when it is recorded, the first open delivery is next. An existing head is locked
# even where nothing changes: whoever drains it at this moment must wait, and will then see what was added.
OPEN_HEADS = """
CREATE FUNCTION open_heads(job_ids text[], target_ids text[], sequences integer[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO heads (job_id, target_id, next_sequence, lane_id)
    SELECT job_id, target_id, min(sequence), min(lane_of(target_id, account_id, target_url))
    FROM deliveries JOIN unnest(job_ids, target_ids, sequences) AS opened (job_id, target_id, sequence)
        USING (job_id, target_id, sequence)
    GROUP BY job_id, target_id ORDER BY job_id, target_id
    ON CONFLICT (job_id, target_id) DO UPDATE
    SET next_sequence = excluded.next_sequence, due_at = now(), attempt_count = 0, postponement_count = 0
    WHERE excluded.next_sequence < heads.next_sequence AND heads.lease_no IS NULL;

    INSERT INTO lanes (lane_id, account_id, endpoint_id)
    SELECT DISTINCT ON (lane_id) lane_id, account_id, nullif(target_id, 'callback')
    FROM deliveries JOIN unnest(job_ids, target_ids, sequences) AS opened (job_id, target_id, sequence)
        USING (job_id, target_id, sequence)
    CROSS JOIN LATERAL lane_of(target_id, account_id, target_url) AS lane_id
    ORDER BY lane_id
    ON CONFLICT (lane_id) DO UPDATE SET next_due_at = excluded.next_due_at
    WHERE excluded.next_due_at < lanes.next_due_at;
END $$;
"""

# For heads that exist already, and so do their lanes.
WAKE_LANES = """
CREATE FUNCTION wake_lanes(of_lanes text[]) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM lanes WHERE lane_id = ANY (of_lanes) ORDER BY lane_id FOR UPDATE;
    UPDATE lanes SET next_due_at = least(next_due_at, now()) WHERE lane_id = ANY (of_lanes);
END $$;
"""

# An event goes to its own address, if it has one, and to the endpoints of its account that take it and that it is not
# about. Disabled ones get it as given up, so that it can be replayed. An event for nobody is not stored. Returns how
# many were stored.
ACCEPT = """
CREATE FUNCTION accept_events(
    event_ids text[], job_ids text[], account_ids text[], environments text[], contracts text[], types text[],
    sequences integer[], target_urls text[], bodies bytea[], occurred timestamptz[]
) RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    stored_count integer;
    open_jobs text[];
    open_targets text[];
    open_sequences integer[];
BEGIN
    WITH wanted AS (
        SELECT * FROM unnest(
            event_ids, job_ids, account_ids, environments, contracts, types, sequences, target_urls, bodies, occurred
        ) AS _ (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body, occurred_at)
    ), targets AS (
        SELECT event_id, 'callback' AS target_id, target_url, true AS is_enabled FROM wanted WHERE target_url <> ''
        UNION ALL
        SELECT event_id, endpoint_id, url, is_enabled
        FROM wanted JOIN endpoints USING (account_id, environment)
        WHERE type = ANY (events) AND endpoint_id <> job_id
    ), stored AS (
        INSERT INTO events
            (event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at)
        SELECT event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at
        FROM wanted WHERE event_id IN (SELECT event_id FROM targets) ORDER BY event_id
        ON CONFLICT (event_id) DO NOTHING
        RETURNING event_id, job_id, account_id, environment, sequence
    ), added AS (
        INSERT INTO deliveries
            (job_id, target_id, sequence, event_id, target_url, account_id, environment, outcome, ended_at)
        SELECT job_id, target_id, sequence, event_id, target_url, account_id, environment,
            CASE WHEN NOT is_enabled THEN 'dead_lettered' END, CASE WHEN NOT is_enabled THEN now() END
        FROM stored JOIN targets USING (event_id) ORDER BY job_id, sequence, target_id
        RETURNING job_id, target_id, sequence, outcome
    )
    SELECT (SELECT count(*) FROM stored), array_agg(job_id), array_agg(target_id), array_agg(sequence)
    INTO stored_count, open_jobs, open_targets, open_sequences
    FROM added WHERE outcome IS NULL;
    IF open_jobs IS NOT NULL THEN
        PERFORM open_heads(open_jobs, open_targets, open_sequences);
    END IF;
    RETURN stored_count;
END $$;
"""

# Leases due heads, of each lane and account as many as it has room for: where the caller names none, `lane_max` and
# `account_max`. Lanes that somebody is changing are left for the next claim, which follows that change.
CLAIM = """
CREATE FUNCTION claim_deliveries(
    of_owner integer, deliveries_max integer, lease interval, lane_max integer, account_max integer,
    lane_ids text[], lane_rooms integer[], account_ids text[], account_rooms integer[]
) RETURNS TABLE (
    job_id text, target_id text, lane_id text, account_id text, lease_no bigint, attempt_count integer,
    postponement_count integer, event_id text, contract text, type text, target_url text, body bytea,
    sealed_secrets bytea[]
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
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
END $$;
"""

# What attempts say of their endpoints holds even where a lease was lost. The attempt that decides disables.
NOTE_HEALTH = """
CREATE FUNCTION note_health(target_ids text[], healths text[], failing_max interval) RETURNS text[]
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    disabled text[];
BEGIN
    WITH seen AS (
        SELECT target_id, bool_or(health = 'well') AS is_well, bool_or(health = 'gone') AS is_gone
        FROM unnest(target_ids, healths) AS _ (target_id, health)
        WHERE health <> 'unknown' GROUP BY target_id
    ), changing AS (
        SELECT endpoint_id, is_well, CASE
            WHEN is_gone THEN 'gone'
            WHEN NOT is_well AND failing_since <= now() - failing_max THEN 'failing'
        END AS reason
        FROM endpoints JOIN seen ON endpoint_id = target_id
        WHERE is_enabled AND (is_gone OR is_well = (failing_since IS NOT NULL)
            OR (NOT is_well AND failing_since <= now() - failing_max))
        ORDER BY endpoint_id
        FOR NO KEY UPDATE OF endpoints
    ), changed AS (
        UPDATE endpoints SET
            failing_since = CASE WHEN NOT is_well THEN coalesce(failing_since, now()) END,
            is_enabled = reason IS NULL, disabled_reason = reason, notice_due = reason IS NOT NULL,
            updated_at = CASE WHEN reason IS NULL THEN updated_at ELSE now() END
        FROM changing WHERE endpoints.endpoint_id = changing.endpoint_id
        RETURNING endpoints.endpoint_id, reason, url, failing_since
    ), written AS (
        INSERT INTO audit (actor, action, subject_id, reason, details)
        SELECT 'webhooks', 'endpoint.disable', endpoint_id, reason,
            jsonb_build_object('url', url, 'failing_since', failing_since)
        FROM changed WHERE reason IS NOT NULL ORDER BY endpoint_id
    )
    SELECT array_agg(endpoint_id) INTO disabled FROM changed WHERE reason IS NOT NULL;
    RETURN disabled;
END $$;
"""

# Ends leases with what came of them. Returns those that were still held, whether the next event of the same job became
# due, and whether the endpoint was disabled by it.
RECORD = """
CREATE FUNCTION record_attempts(
    job_ids text[], target_ids text[], lease_nos bigint[], outcomes text[], healths text[], waits interval[],
    started timestamptz[], latencies integer[], statuses integer[], errors text[], excerpts bytea[],
    failing_max interval, lease interval
) RETURNS TABLE (lease_no bigint, is_due boolean, is_disabled boolean)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    disabled text[] := note_health(target_ids, healths, failing_max);
    due_lanes text[];
BEGIN
    PERFORM FROM heads JOIN unnest(job_ids, target_ids, lease_nos) AS ended (job_id, target_id, lease_no)
        USING (job_id, target_id, lease_no)
    ORDER BY job_id, target_id
    FOR UPDATE OF heads;

    RETURN QUERY
    WITH ended AS (
        SELECT _.*, next_sequence AS sequence, heads.attempt_count AS failed_count, postponement_count,
            outcome IN ('delivered', 'dead_lettered') AS is_through
        FROM unnest(
            job_ids, target_ids, lease_nos, outcomes, waits, started, latencies, statuses, errors, excerpts
        ) AS _ (job_id, target_id, lease_no, outcome, wait, started_at, latency_ms, status, error, excerpt)
        JOIN heads USING (job_id, target_id, lease_no)
    ), tried AS (
        UPDATE deliveries SET attempt_count = attempt_count + 1,
            outcome = CASE WHEN is_through THEN ended.outcome END, ended_at = CASE WHEN is_through THEN now() END
        FROM ended
        WHERE ended.outcome <> 'postponed' AND deliveries.job_id = ended.job_id
            AND deliveries.target_id = ended.target_id AND deliveries.sequence = ended.sequence
        RETURNING ended.*, attempt_count AS number
    ), noted AS (
        INSERT INTO attempts
            (job_id, target_id, sequence, number, started_at, latency_ms, status, error, excerpt)
        SELECT job_id, target_id, sequence, number, started_at, latency_ms, status, error, excerpt FROM tried
    ), following AS (
        SELECT ended.*, (
            SELECT min(opened.sequence) FROM deliveries AS opened
            WHERE opened.job_id = ended.job_id AND opened.target_id = ended.target_id
                AND opened.outcome IS NULL AND NOT (is_through AND opened.sequence = ended.sequence)
        ) AS next_sequence
        FROM ended
    ), drained AS (
        DELETE FROM heads USING following
        WHERE following.next_sequence IS NULL
            AND heads.job_id = following.job_id AND heads.target_id = following.target_id
    ), advanced AS (
        UPDATE heads SET next_sequence = following.next_sequence, lease_no = NULL, owner = NULL,
            due_at = CASE WHEN following.next_sequence = sequence THEN now() + wait ELSE now() END,
            attempt_count = CASE WHEN following.next_sequence = sequence
                THEN failed_count + CAST(outcome = 'failed' AS integer) ELSE 0 END,
            postponement_count = CASE WHEN following.next_sequence = sequence AND outcome = 'postponed'
                THEN following.postponement_count + 1 ELSE 0 END
        FROM following
        WHERE following.next_sequence IS NOT NULL
            AND heads.job_id = following.job_id AND heads.target_id = following.target_id
    )
    SELECT lease_no, coalesce(next_sequence <> sequence, false), target_id = ANY (coalesce(disabled, '{}'))
    FROM following;

    -- A lane has taken these for due at the end of their lease. Now some are due sooner.
    SELECT array_agg(DISTINCT lane_id) INTO due_lanes
    FROM heads JOIN unnest(job_ids, target_ids) AS ended (job_id, target_id) USING (job_id, target_id)
    WHERE lease_no IS NULL AND due_at < now() + lease;
    IF due_lanes IS NOT NULL THEN
        PERFORM wake_lanes(due_lanes);
    END IF;
END $$;
"""

# What waits for an endpoint that was disabled or deleted is given up, `heads_max` at a time. What is being attempted
# follows when it has been recorded. Returns how many heads were closed.
CLOSE = """
CREATE FUNCTION close_disabled(heads_max integer) RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    closed_lanes text[] := ARRAY(
        SELECT lane_id FROM lanes
        WHERE endpoint_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM endpoints WHERE endpoints.endpoint_id = lanes.endpoint_id AND is_enabled
        )
        LIMIT heads_max
    );
    closed_jobs text[];
    closed_targets text[];
BEGIN
    -- Nobody may enable one again while its heads are being closed.
    PERFORM FROM endpoints WHERE endpoint_id = ANY (closed_lanes) ORDER BY endpoint_id FOR SHARE;
    SELECT array_agg(job_id), array_agg(target_id) INTO closed_jobs, closed_targets FROM (
        SELECT job_id, target_id FROM heads
        WHERE lane_id = ANY (closed_lanes) AND (lease_no IS NULL OR due_at <= now())
            AND NOT EXISTS (SELECT FROM endpoints WHERE endpoint_id = lane_id AND is_enabled)
        ORDER BY job_id, target_id LIMIT heads_max
        FOR UPDATE SKIP LOCKED
    ) AS waiting;
    UPDATE deliveries SET outcome = 'dead_lettered', ended_at = now()
    FROM unnest(closed_jobs, closed_targets) AS closed (job_id, target_id)
    WHERE deliveries.job_id = closed.job_id AND deliveries.target_id = closed.target_id AND outcome IS NULL;
    DELETE FROM heads USING unnest(closed_jobs, closed_targets) AS closed (job_id, target_id)
    WHERE heads.job_id = closed.job_id AND heads.target_id = closed.target_id;

    PERFORM FROM lanes WHERE lane_id = ANY (closed_lanes) ORDER BY lane_id FOR UPDATE;
    DELETE FROM lanes
    WHERE lane_id = ANY (closed_lanes) AND NOT EXISTS (SELECT FROM heads WHERE heads.lane_id = lanes.lane_id);
    RETURN coalesce(cardinality(closed_jobs), 0);
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (OPEN_HEADS, WAKE_LANES, ACCEPT, CLAIM, NOTE_HEALTH, RECORD, CLOSE):
        op.execute(part)
