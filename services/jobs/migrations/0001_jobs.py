"""The tables of the first release."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE jobs (
            id TEXT NOT NULL,
            account_id TEXT NOT NULL,
            environment TEXT NOT NULL,
            contract TEXT NOT NULL,
            status TEXT NOT NULL,
            model TEXT NOT NULL,
            input TEXT NOT NULL,
            callback_url TEXT,
            metadata TEXT,
            price_version TEXT NOT NULL,
            micros_per_second BIGINT NOT NULL,
            reserved_micros BIGINT NOT NULL,
            charged_micros BIGINT DEFAULT 0 NOT NULL,
            refunded_micros BIGINT DEFAULT 0 NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            started_at TIMESTAMP WITH TIME ZONE,
            ended_at TIMESTAMP WITH TIME ZONE,
            video_url TEXT,
            thumbnail_url TEXT,
            last_frame_url TEXT,
            output_seconds DOUBLE PRECISION,
            failure TEXT,
            PRIMARY KEY (id),
            CONSTRAINT jobs_status CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
            CONSTRAINT jobs_reserved CHECK (reserved_micros > 0),
            CONSTRAINT jobs_charged CHECK (charged_micros BETWEEN 0 AND reserved_micros),
            CONSTRAINT jobs_refunded CHECK (refunded_micros BETWEEN 0 AND reserved_micros)
        ) WITH (fillfactor = 85)
    """)
    op.execute("""
        CREATE INDEX jobs_created ON jobs (account_id, environment, created_at)
    """)
    op.execute("""
        CREATE INDEX jobs_newest ON jobs (account_id, environment, id COLLATE "C" DESC)
    """)
    op.execute("""
        CREATE INDEX jobs_newest_by_status ON jobs (account_id, environment, status, id COLLATE "C" DESC)
    """)
    op.execute("""
        CREATE TABLE outbox (
            event_id TEXT NOT NULL,
            job_id TEXT NOT NULL,
            account_id TEXT NOT NULL,
            environment TEXT NOT NULL,
            contract TEXT NOT NULL,
            type TEXT NOT NULL,
            sequence INTEGER NOT NULL,
            target_url TEXT NOT NULL,
            body BYTEA NOT NULL,
            occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (event_id)
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX outbox_of_job ON outbox (job_id, sequence)
    """)
    op.execute("""
        CREATE TABLE usage_daily (
            account_id TEXT NOT NULL,
            environment TEXT NOT NULL,
            day DATE NOT NULL,
            model TEXT NOT NULL,
            completed_jobs INTEGER NOT NULL,
            failed_jobs INTEGER NOT NULL,
            charged_micros BIGINT NOT NULL,
            refunded_micros BIGINT NOT NULL,
            PRIMARY KEY (account_id, environment, day, model)
        )
    """)
    op.execute("""
        CREATE TABLE attempts (
            id TEXT NOT NULL,
            job_id TEXT NOT NULL,
            number INTEGER NOT NULL,
            route TEXT NOT NULL,
            upstream_model TEXT NOT NULL,
            token TEXT NOT NULL,
            lease_no BIGINT NOT NULL,
            opened_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
            task_id TEXT,
            claimed_task_id TEXT,
            outcome TEXT,
            detail TEXT,
            closed_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (id),
            FOREIGN KEY(job_id) REFERENCES jobs (id),
            UNIQUE (token)
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX attempts_of_job ON attempts (job_id, number)
    """)
    op.execute("""
        CREATE TABLE work (
            job_id TEXT NOT NULL,
            state TEXT NOT NULL,
            state_since TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
            due_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
            lease_no BIGINT DEFAULT 0 NOT NULL,
            lease_until TIMESTAMP WITH TIME ZONE DEFAULT '-infinity' NOT NULL,
            wake_no INTEGER DEFAULT 0 NOT NULL,
            check_count INTEGER DEFAULT 0 NOT NULL,
            PRIMARY KEY (job_id),
            FOREIGN KEY(job_id) REFERENCES jobs (id)
        ) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02)
    """)
    op.execute("""
        CREATE INDEX work_due ON work (due_at)
    """)
