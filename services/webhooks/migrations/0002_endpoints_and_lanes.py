"""Endpoints, lanes, and what lets deliveries be listed and repeated."""

from alembic import op

revision = "0002"
down_revision = "0001"

# During a rotation `next_sealed_secret` waits to be confirmed; afterwards the former one signs until `previous_until`.
# `notice_due`: the endpoint was disabled by us, and the account's other endpoints have not been told yet.
ENDPOINTS = """
CREATE TABLE endpoints (
    endpoint_id text PRIMARY KEY,
    account_id text NOT NULL,
    environment text NOT NULL CONSTRAINT endpoints_environment_check CHECK (environment IN ('live', 'test')),
    contract text NOT NULL,
    url text NOT NULL,
    events text[] NOT NULL,
    description text NOT NULL DEFAULT '',
    is_enabled boolean NOT NULL DEFAULT true,
    disabled_reason text CONSTRAINT endpoints_disabled_reason_check CHECK (disabled_reason IN ('gone', 'failing')),
    notice_due boolean NOT NULL DEFAULT false,
    failing_since timestamptz,
    sealed_secret bytea NOT NULL,
    next_sealed_secret bytea,
    previous_sealed_secret bytea,
    previous_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT endpoints_is_enabled_check CHECK (NOT is_enabled OR (disabled_reason IS NULL AND NOT notice_due)),
    CONSTRAINT endpoints_previous_check CHECK ((previous_sealed_secret IS NULL) = (previous_until IS NULL))
);
CREATE INDEX endpoints_owner_idx ON endpoints (account_id, environment, endpoint_id);
CREATE INDEX endpoints_notice_due_idx ON endpoints (endpoint_id) WHERE notice_due;
"""

# Deliveries are listed and replayed by `accepted_at`, those of one moment by `number`. `attempt_count` counts all attempts
# there ever were, those before a redelivery included; what is left of a schedule is the head's.
DELIVERIES = """
ALTER TABLE deliveries
    ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN account_id text,
    ADD COLUMN environment text,
    ADD COLUMN accepted_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN attempt_count integer NOT NULL DEFAULT 0;
UPDATE deliveries
SET account_id = events.account_id, environment = events.environment, accepted_at = events.accepted_at,
    attempt_count = (
        SELECT count(*) FROM attempts
        WHERE (attempts.job_id, attempts.target_id, attempts.sequence)
            = (deliveries.job_id, deliveries.target_id, deliveries.sequence)
    )
FROM events WHERE events.event_id = deliveries.event_id;
ALTER TABLE deliveries ALTER COLUMN account_id SET NOT NULL, ALTER COLUMN environment SET NOT NULL;
CREATE INDEX deliveries_owner_idx ON deliveries (account_id, environment, accepted_at DESC, number DESC);
CREATE INDEX deliveries_target_idx ON deliveries (target_id, accepted_at DESC, number DESC)
    WHERE target_id <> 'callback';
CREATE INDEX deliveries_open_idx ON deliveries (account_id, environment, accepted_at DESC, number DESC)
    WHERE outcome IS NULL;
CREATE INDEX deliveries_dead_idx ON deliveries (account_id, environment, accepted_at, number)
    WHERE outcome = 'dead_lettered';
"""

# A lane is what one receiver gets: an endpoint, or all of an account's callbacks to one host. It stands for its heads,
# so that a claim passes over a full lane in one step, however much waits in it. `next_due_at` is never later than
# the first of its heads is due, and while a lane has a head it exists. A host's name is cut to what an index takes.
LANES = """
CREATE TABLE lanes (
    lane_id text PRIMARY KEY,
    account_id text NOT NULL,
    endpoint_id text,
    next_due_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX lanes_next_due_at_idx ON lanes (next_due_at);
CREATE FUNCTION lane_of(target_id text, account_id text, target_url text) RETURNS text
LANGUAGE sql IMMUTABLE RETURN CASE
    WHEN target_id <> 'callback' THEN target_id
    ELSE account_id || ' ' || left(lower(coalesce(substring(target_url FROM '^[^/]*//[^/?#]*'), '')), 255)
END;
ALTER TABLE heads ADD COLUMN lane_id text;
UPDATE heads SET lane_id = lane_of(deliveries.target_id, deliveries.account_id, deliveries.target_url)
FROM deliveries
WHERE (deliveries.job_id, deliveries.target_id, deliveries.sequence)
    = (heads.job_id, heads.target_id, heads.next_sequence);
ALTER TABLE heads ALTER COLUMN lane_id SET NOT NULL;
INSERT INTO lanes (lane_id, account_id) SELECT DISTINCT lane_id, split_part(lane_id, ' ', 1) FROM heads;
DROP INDEX heads_due_at_idx;
CREATE INDEX heads_lane_idx ON heads (lane_id, due_at);
"""

REDELIVERIES = """
CREATE TABLE redeliveries (
    redelivery_id text PRIMARY KEY,
    account_id text NOT NULL,
    environment text NOT NULL,
    endpoint_id text,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    after_at timestamptz NOT NULL DEFAULT '-infinity',
    after_number bigint NOT NULL DEFAULT 0,
    examined_count integer NOT NULL DEFAULT 0,
    redelivered_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE INDEX redeliveries_running_idx ON redeliveries (created_at) WHERE ended_at IS NULL;
"""

AUDIT = """
CREATE TABLE audit (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    subject_id text NOT NULL,
    reason text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_subject_id_idx ON audit (subject_id, number);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'restrict_violation',
        MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' is refused';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (ENDPOINTS, DELIVERIES, LANES, REDELIVERIES, AUDIT):
        op.execute(part)
