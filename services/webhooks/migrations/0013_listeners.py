"""Listeners: places from which webhooks are fetched."""

from alembic import op

revision = "0013"
down_revision = "0012"

# `last_number` is how many webhooks it has been told of. `ends_at` moves on while somebody reads. What a listener is
# told is a place in its own row of numbers and the event that stands there; the event has the body.
LISTENERS = """
CREATE TABLE listeners (
    listener_id text PRIMARY KEY,
    account_id text NOT NULL,
    environment text NOT NULL CONSTRAINT listeners_environment_check CHECK (environment IN ('live', 'test')),
    events text[] NOT NULL,
    sealed_secret bytea NOT NULL,
    last_number integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX listeners_owner_idx ON listeners (account_id, environment, listener_id);
CREATE INDEX listeners_ends_at_idx ON listeners (ends_at);
CREATE TABLE heard (
    listener_id text,
    number integer,
    event_id text NOT NULL REFERENCES events,
    PRIMARY KEY (listener_id, number)
);
CREATE INDEX heard_event_idx ON heard (event_id);
"""

# Gives each listener the next numbers for its events, in the order in which they come. Whoever does so holds the
# listener until it commits: so nobody who reads sees a number and not those before it. Returns who was told.
TELL = """
CREATE FUNCTION tell_listeners(listener_ids text[], event_ids text[]) RETURNS text[]
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    told text[];
BEGIN
    PERFORM FROM listeners WHERE listener_id = ANY (listener_ids) ORDER BY listener_id FOR NO KEY UPDATE;
    WITH numbered AS (
        SELECT listener_id, event_id,
            CAST(last_number + row_number() OVER (PARTITION BY listener_id ORDER BY place) AS integer) AS number
        FROM unnest(listener_ids, event_ids) WITH ORDINALITY AS _ (listener_id, event_id, place)
            JOIN listeners USING (listener_id)
        WHERE ends_at > now()
    ), written AS (
        INSERT INTO heard (listener_id, number, event_id)
        SELECT listener_id, number, event_id FROM numbered ORDER BY listener_id, number
    ), counted AS (
        UPDATE listeners SET last_number = latest.number
        FROM (SELECT listener_id, max(number) AS number FROM numbered GROUP BY listener_id) AS latest
        WHERE listeners.listener_id = latest.listener_id
        RETURNING listeners.listener_id
    )
    SELECT array_agg(listener_id) INTO told FROM counted;
    RETURN coalesce(told, '{}');
END $$;
"""

# As `accept_events` was, and listeners besides. Returns how many events were stored, and which listeners were told.
TAKE = """
CREATE FUNCTION take_events(
    event_ids text[], job_ids text[], account_ids text[], environments text[], contracts text[], types text[],
    sequences integer[], target_urls text[], bodies bytea[], occurred timestamptz[]
) RETURNS TABLE (stored_count integer, told text[]) LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    open_jobs text[];
    open_targets text[];
    open_sequences integer[];
    told_listeners text[];
    told_events text[];
BEGIN
    WITH wanted AS (
        SELECT * FROM unnest(
            event_ids, job_ids, account_ids, environments, contracts, types, sequences, target_urls, bodies, occurred
        ) WITH ORDINALITY
        AS _ (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body, occurred_at, place)
    ), targets AS (
        SELECT event_id, 'callback' AS target_id, target_url, true AS is_enabled FROM wanted WHERE target_url <> ''
        UNION ALL
        SELECT event_id, endpoint_id, url, is_enabled
        FROM wanted JOIN endpoints USING (account_id, environment)
        WHERE type = ANY (events) AND endpoint_id <> job_id
    ), listening AS (
        SELECT event_id, listener_id, place FROM wanted JOIN listeners USING (account_id, environment)
        WHERE type = ANY (events) AND ends_at > now()
    ), stored AS (
        INSERT INTO events
            (event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at)
        SELECT event_id, job_id, account_id, environment, contract, type, sequence, body, occurred_at
        FROM wanted
        WHERE event_id IN (SELECT event_id FROM targets UNION ALL SELECT event_id FROM listening) ORDER BY event_id
        ON CONFLICT (event_id) DO NOTHING
        RETURNING event_id, job_id, account_id, environment, sequence
    ), added AS (
        INSERT INTO deliveries
            (job_id, target_id, sequence, event_id, target_url, account_id, environment, outcome, ended_at)
        SELECT job_id, target_id, sequence, event_id, target_url, account_id, environment,
            CASE WHEN NOT is_enabled THEN 'dead_lettered' END, CASE WHEN NOT is_enabled THEN now() END
        FROM stored JOIN targets USING (event_id) ORDER BY job_id, sequence, target_id
        RETURNING job_id, target_id, sequence, outcome
    ), telling AS (
        SELECT array_agg(listener_id ORDER BY place) AS listener_ids, array_agg(event_id ORDER BY place) AS event_ids
        FROM listening JOIN stored USING (event_id)
    )
    SELECT (SELECT count(*) FROM stored), array_agg(job_id), array_agg(target_id), array_agg(sequence),
        (SELECT listener_ids FROM telling), (SELECT event_ids FROM telling)
    INTO stored_count, open_jobs, open_targets, open_sequences, told_listeners, told_events
    FROM added WHERE outcome IS NULL;
    told := CASE WHEN told_listeners IS NULL THEN '{}' ELSE tell_listeners(told_listeners, told_events) END;
    IF open_jobs IS NOT NULL THEN
        PERFORM open_heads(open_jobs, open_targets, open_sequences);
    END IF;
    RETURN NEXT;
END $$;
"""

# For the release before, while its processes still run. The release after this one drops it.
ACCEPT = """
CREATE OR REPLACE FUNCTION accept_events(
    event_ids text[], job_ids text[], account_ids text[], environments text[], contracts text[], types text[],
    sequences integer[], target_urls text[], bodies bytea[], occurred timestamptz[]
) RETURNS integer LANGUAGE sql AS $$
    SELECT stored_count FROM take_events(
        event_ids, job_ids, account_ids, environments, contracts, types, sequences, target_urls, bodies, occurred
    )
$$;
"""

# As in 0009. An event is forgotten whoever may still read it.
FORGET_EVENTS = """
CREATE OR REPLACE FUNCTION forget_events(
    after_at timestamptz, after_id text, kept_min interval, kept_usual interval, account_ids text[], kept interval[],
    events_max integer
) RETURNS TABLE (examined_count integer, forgotten_count integer, last_at timestamptz, last_id text)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
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
END $$;
"""

# Removes listeners that have ended, with what they were told, a part of it at a time. Waits for nobody. Returns how many
# rows went.
FORGET_LISTENERS = """
CREATE FUNCTION forget_listeners(listeners_max integer, heard_max integer) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    ended text[];
    heard_count integer;
    listener_count integer;
BEGIN
    ended := ARRAY(
        SELECT listener_id FROM listeners WHERE ends_at < now()
        ORDER BY ends_at LIMIT listeners_max FOR UPDATE SKIP LOCKED
    );
    WITH chosen AS (
        SELECT heard.listener_id, heard.number FROM heard WHERE listener_id = ANY (ended)
        ORDER BY heard.listener_id, heard.number LIMIT heard_max FOR UPDATE SKIP LOCKED
    )
    DELETE FROM heard USING chosen
    WHERE heard.listener_id = chosen.listener_id AND heard.number = chosen.number;
    GET DIAGNOSTICS heard_count = ROW_COUNT;
    DELETE FROM listeners WHERE listener_id = ANY (ended)
        AND NOT EXISTS (SELECT FROM heard WHERE heard.listener_id = listeners.listener_id);
    GET DIAGNOSTICS listener_count = ROW_COUNT;
    RETURN heard_count + listener_count;
END $$;
"""


def upgrade() -> None:
    for part in (LISTENERS, TELL, TAKE, ACCEPT, FORGET_EVENTS, FORGET_LISTENERS):
        op.execute(part)
