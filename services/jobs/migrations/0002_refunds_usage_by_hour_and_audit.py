"""What is given back later, usage by the hour, what is unfinished at a glance, and who did what."""

from alembic import op

revision = "0002"
down_revision = "0001"

# In the order in which the statements of running workers lock them.
LOCKS = "LOCK TABLE work, jobs, usage_daily"

# A completed job that delivered less than was asked did not say so until now.
MONEY = """
ALTER TABLE jobs ADD COLUMN returned_micros bigint NOT NULL DEFAULT 0;
UPDATE jobs SET refunded_micros = reserved_micros - charged_micros
    WHERE status = 'completed' AND charged_micros + refunded_micros <> reserved_micros;
ALTER TABLE jobs
    ADD CONSTRAINT jobs_returned CHECK (returned_micros BETWEEN 0 AND charged_micros),
    ADD CONSTRAINT jobs_settled CHECK (CASE status
        WHEN 'completed' THEN charged_micros + refunded_micros = reserved_micros
        WHEN 'failed' THEN charged_micros = 0 AND refunded_micros = reserved_micros
        ELSE charged_micros = 0 AND refunded_micros = 0 END);
"""

# The roll-ups are counted anew, from the jobs as they now are.
USAGE = """
CREATE TABLE usage_hourly (
    account_id text,
    environment text,
    hour timestamptz,
    model text,
    completed_jobs integer NOT NULL,
    failed_jobs integer NOT NULL,
    charged_micros bigint NOT NULL,
    refunded_micros bigint NOT NULL,
    PRIMARY KEY (account_id, environment, hour, model)
) WITH (fillfactor = 85);
INSERT INTO usage_hourly
    SELECT account_id, environment, date_trunc('hour', created_at, 'UTC') AS hour, model,
        count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
        sum(charged_micros + refunded_micros), sum(refunded_micros)
    FROM jobs WHERE status IN ('completed', 'failed') GROUP BY account_id, environment, hour, model;
DELETE FROM usage_daily;
INSERT INTO usage_daily
    SELECT account_id, environment, CAST(hour AT TIME ZONE 'UTC' AS date) AS day, model,
        sum(completed_jobs), sum(failed_jobs), sum(charged_micros), sum(refunded_micros)
    FROM usage_hourly GROUP BY account_id, environment, day, model;
"""

# Each collation ties an index to the one question that names it: whatever a planner believes, no other serves it.
INDEXES = """
DROP INDEX jobs_created;
CREATE INDEX jobs_created ON jobs (account_id COLLATE "C", environment COLLATE "C", created_at);
CREATE INDEX jobs_unfinished ON jobs (account_id COLLATE "POSIX", environment COLLATE "POSIX", created_at)
    WHERE status IN ('pending', 'processing');
CREATE INDEX work_state_since ON work (state_since);
"""

REFUNDS = """
CREATE TABLE refunds (
    refund_id text PRIMARY KEY,
    job_id text NOT NULL REFERENCES jobs,
    amount_micros bigint NOT NULL CONSTRAINT refunds_amount CHECK (amount_micros > 0),
    actor text NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL,
    applied_at timestamptz
);
CREATE INDEX refunds_of_job ON refunds (job_id);
CREATE INDEX refunds_due ON refunds (due_at) WHERE applied_at IS NULL;
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
CREATE INDEX audit_of_subject ON audit (subject_id, number);
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
    for part in (LOCKS, MONEY, USAGE, INDEXES, REFUNDS, AUDIT):
        op.execute(part)
