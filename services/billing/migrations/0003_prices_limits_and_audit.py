"""Prices, what may be spent, who did what, and the columns that refunds and rotated keys need."""

from alembic import op

revision = "0003"
down_revision = "0002"

KEYS = """
ALTER TABLE api_keys
    ADD COLUMN models text[] NOT NULL DEFAULT '{}',
    ADD COLUMN previous_sha256 bytea,
    ADD COLUMN previous_until timestamptz,
    ADD CONSTRAINT api_keys_previous_check CHECK ((previous_sha256 IS NULL) = (previous_until IS NULL));
CREATE INDEX api_keys_previous_sha256_idx ON api_keys (previous_sha256) WHERE previous_sha256 IS NOT NULL;
"""

# One row for each balance and one for each key. It is changed only under the lock of the balance it belongs to.
# `day` and `month` say which ones the amounts are of: those of any earlier one are as good as 0.
SPENDING = """
CREATE TABLE spending (
    subject_id text,
    account_id text NOT NULL,
    environment text NOT NULL,
    per_job_micros bigint CONSTRAINT spending_per_job_micros_check CHECK (per_job_micros >= 0),
    per_day_micros bigint CONSTRAINT spending_per_day_micros_check CHECK (per_day_micros >= 0),
    per_month_micros bigint CONSTRAINT spending_per_month_micros_check CHECK (per_month_micros >= 0),
    day date NOT NULL DEFAULT 'epoch',
    day_micros bigint NOT NULL DEFAULT 0 CONSTRAINT spending_day_micros_check CHECK (day_micros >= 0),
    month date NOT NULL DEFAULT 'epoch',
    month_micros bigint NOT NULL DEFAULT 0 CONSTRAINT spending_month_micros_check CHECK (month_micros >= 0),
    PRIMARY KEY (subject_id, environment),
    FOREIGN KEY (account_id, environment) REFERENCES balances
) WITH (fillfactor = 50);
INSERT INTO spending (subject_id, account_id, environment) SELECT account_id, account_id, environment FROM balances;
INSERT INTO spending (subject_id, account_id, environment) SELECT key_id, account_id, environment FROM api_keys;
"""

HOLDS = """
ALTER TABLE holds
    ADD COLUMN key_id text,
    ADD COLUMN spent_on date NOT NULL DEFAULT '-infinity',
    ADD COLUMN refunded_micros bigint NOT NULL DEFAULT 0
        CONSTRAINT holds_refunded_micros_check CHECK (refunded_micros BETWEEN 0 AND captured_micros);
UPDATE holds SET expires_at = clock_timestamp() + interval '30 days' WHERE state = 'confirmed';
DROP INDEX holds_expires_at_idx;
CREATE INDEX holds_expires_at_idx ON holds (expires_at) WHERE resolved_at IS NULL;
"""

HISTORY = """
ALTER TABLE transactions
    ADD COLUMN refers_to bigint REFERENCES transactions,
    DROP CONSTRAINT transactions_kind_check,
    ADD CONSTRAINT transactions_kind_check CHECK
        (kind IN ('grant', 'correction', 'hold', 'capture', 'release', 'expire', 'refund')),
    ADD CONSTRAINT transactions_refers_to_check CHECK ((refers_to IS NOT NULL) = (kind = 'refund'));
CREATE INDEX transactions_refers_to_idx ON transactions (refers_to) WHERE refers_to IS NOT NULL;
"""

PRICES = """
CREATE TABLE price_versions (
    version text PRIMARY KEY,
    valid_from timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE prices (
    version text REFERENCES price_versions,
    model text,
    resolution text CONSTRAINT prices_resolution_check CHECK (resolution IN ('480p', '720p', '1080p')),
    environment text CONSTRAINT prices_environment_check CHECK (environment IN ('live', 'test')),
    valid_from timestamptz NOT NULL,
    micros_per_second bigint NOT NULL CONSTRAINT prices_micros_per_second_check CHECK (micros_per_second > 0),
    PRIMARY KEY (version, model, resolution, environment),
    CONSTRAINT prices_moment_key UNIQUE (model, resolution, environment, valid_from)
);
CREATE TRIGGER price_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER prices_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON prices
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
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
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (KEYS, SPENDING, HOLDS, HISTORY, PRICES, AUDIT):
        op.execute(part)
