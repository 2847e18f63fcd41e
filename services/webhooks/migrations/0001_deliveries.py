"""Signing secrets, events, and what is delivered where and when."""

from alembic import op

revision = "0001"
down_revision = None

EVENTS = """
CREATE TABLE signing_secrets (
    account_id text PRIMARY KEY,
    sealed_secret bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE events (
    event_id text PRIMARY KEY,
    job_id text NOT NULL,
    account_id text NOT NULL,
    environment text NOT NULL,
    contract text NOT NULL,
    type text NOT NULL,
    sequence integer NOT NULL CONSTRAINT events_sequence_check CHECK (sequence > 0),
    body bytea NOT NULL,
    occurred_at timestamptz NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now()
);
"""

# One event to one target. Apart from its event, because an event may have several targets, and because a row
# that changes should not drag a body along.
DELIVERIES = """
CREATE TABLE deliveries (
    job_id text,
    target_id text,
    sequence integer,
    event_id text NOT NULL REFERENCES events,
    target_url text NOT NULL,
    outcome text CONSTRAINT deliveries_outcome_check CHECK (outcome IN ('delivered', 'dead_lettered')),
    ended_at timestamptz,
    PRIMARY KEY (job_id, target_id, sequence),
    CONSTRAINT deliveries_ended_at_check CHECK ((outcome IS NULL) = (ended_at IS NULL))
) WITH (fillfactor = 80);
CREATE TABLE attempts (
    job_id text,
    target_id text,
    sequence integer,
    number integer CONSTRAINT attempts_number_check CHECK (number > 0),
    started_at timestamptz NOT NULL,
    latency_ms integer NOT NULL,
    status integer,
    error text,
    excerpt bytea,
    PRIMARY KEY (job_id, target_id, sequence, number),
    FOREIGN KEY (job_id, target_id, sequence) REFERENCES deliveries,
    CONSTRAINT attempts_error_check CHECK ((status IS NULL) = (error IS NOT NULL))
);
"""

# The hot table: a row stands for all undelivered events of one target and job, and goes when they are through.
# A lease number is taken from a sequence, because a row that goes and comes again would begin to count anew.
HEADS = """
CREATE TABLE heads (
    job_id text,
    target_id text,
    next_sequence integer NOT NULL,
    due_at timestamptz NOT NULL DEFAULT now(),
    lease_no bigint,
    owner integer,
    attempt_count integer NOT NULL DEFAULT 0,
    postponement_count integer NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, target_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX heads_due_at_idx ON heads (due_at);
CREATE INDEX heads_owner_idx ON heads (owner) WHERE owner IS NOT NULL;
CREATE SEQUENCE lease_numbers;
CREATE SEQUENCE owner_numbers AS integer CYCLE;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute(EVENTS)
    op.execute(DELIVERIES)
    op.execute(HEADS)
