"""What jobs brought in and what attempts cost is counted by day, and outlives both; accounts may have days of their own.

Triggers note each change, so that nothing is missed, whoever makes it, the former release included. A note is only ever
added, so nobody waits for anybody; a duty adds the notes up. Jobs that ended before are not counted, nor their refunds.
"""

from alembic import op

revision = "0018"
down_revision = "0017"

COLUMNS = "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS rendered_by text"

TABLES = """
CREATE TABLE IF NOT EXISTS margins_daily (
    day date,
    account_id text,
    contract text,
    model text,
    provider text,
    completed_jobs bigint NOT NULL,
    failed_jobs bigint NOT NULL,
    charged_micros bigint NOT NULL,
    returned_micros bigint NOT NULL,
    cost_micros bigint NOT NULL,
    PRIMARY KEY (day, account_id, contract, model, provider)
);
CREATE TABLE IF NOT EXISTS margin_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id text NOT NULL,
    provider text NOT NULL,
    completed_jobs integer NOT NULL DEFAULT 0,
    failed_jobs integer NOT NULL DEFAULT 0,
    charged_micros bigint NOT NULL DEFAULT 0,
    returned_micros bigint NOT NULL DEFAULT 0,
    cost_micros bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS kept_days (
    account_id text PRIMARY KEY,
    media_days integer,
    content_days integer
);
"""

REVENUE = """
CREATE OR REPLACE FUNCTION note_revenue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NULL THEN
        NEW.rendered_by := coalesce((
            SELECT provider FROM attempts WHERE job_id = NEW.id AND outcome = 'succeeded' ORDER BY number DESC LIMIT 1
        ), '');
    ELSIF NEW.rendered_by IS NULL THEN
        RETURN NEW;
    END IF;
    INSERT INTO margin_changes (job_id, provider, completed_jobs, failed_jobs, charged_micros, returned_micros)
    VALUES (
        NEW.id, NEW.rendered_by,
        CAST(NEW.status = 'completed' AS integer) - CAST(OLD.status = 'completed' AS integer),
        CAST(NEW.status = 'failed' AS integer) - CAST(OLD.status = 'failed' AS integer),
        NEW.charged_micros - OLD.charged_micros, NEW.returned_micros - OLD.returned_micros
    );
    RETURN NEW;
END $$
"""

COST = """
CREATE OR REPLACE FUNCTION note_cost() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO margin_changes (job_id, provider, cost_micros)
    VALUES (NEW.job_id, NEW.provider, coalesce(NEW.cost_micros, 0) - coalesce(OLD.cost_micros, 0));
    RETURN NULL;
END $$
"""

TRIGGERS = """
CREATE OR REPLACE TRIGGER jobs_revenue BEFORE UPDATE OF ended_at, status, charged_micros, returned_micros ON jobs
    FOR EACH ROW
    WHEN (
        NEW.environment = 'live' AND NEW.ended_at IS NOT NULL AND (
            OLD.ended_at IS NULL
            OR (OLD.status, OLD.charged_micros, OLD.returned_micros)
                IS DISTINCT FROM (NEW.status, NEW.charged_micros, NEW.returned_micros)
        )
    )
    EXECUTE FUNCTION note_revenue();
CREATE OR REPLACE TRIGGER attempts_cost AFTER UPDATE OF cost_micros ON attempts FOR EACH ROW
    WHEN (coalesce(OLD.cost_micros, 0) <> coalesce(NEW.cost_micros, 0))
    EXECUTE FUNCTION note_cost();
"""


def upgrade() -> None:
    for part in (COLUMNS, TABLES, REVENUE, COST, TRIGGERS):
        op.execute(part)
