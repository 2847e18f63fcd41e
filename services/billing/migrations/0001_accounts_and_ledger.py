"""Accounts, API keys and the ledger's tables."""

from alembic import op

revision = "0001"
down_revision = None

ACCOUNTS_AND_KEYS = """
CREATE TABLE accounts (
    account_id text PRIMARY KEY,
    name text NOT NULL,
    contract text NOT NULL CONSTRAINT accounts_contract_check CHECK (contract IN ('seedancee2', 'nextapi')),
    created_at timestamptz NOT NULL DEFAULT now(),
    suspended_at timestamptz
);
CREATE TABLE api_keys (
    key_id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    environment text NOT NULL CONSTRAINT api_keys_environment_check CHECK (environment IN ('live', 'test')),
    key_sha256 bytea NOT NULL CONSTRAINT api_keys_key_sha256_key UNIQUE
        CONSTRAINT api_keys_key_sha256_check CHECK (length(key_sha256) = 32),
    hint text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);
CREATE INDEX api_keys_account_id_idx ON api_keys (account_id, created_at);
"""

# The fill factors leave room for new versions of a row beside the old one: no index is touched.
BALANCES_AND_HOLDS = """
CREATE TABLE balances (
    account_id text REFERENCES accounts,
    environment text CONSTRAINT balances_environment_check CHECK (environment IN ('live', 'test')),
    available_micros bigint NOT NULL DEFAULT 0
        CONSTRAINT balances_available_micros_check CHECK (available_micros >= 0),
    held_micros bigint NOT NULL DEFAULT 0
        CONSTRAINT balances_held_micros_check CHECK (held_micros >= 0),
    version bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, environment)
) WITH (fillfactor = 50);
CREATE TABLE holds (
    hold_id text PRIMARY KEY,
    account_id text NOT NULL,
    environment text NOT NULL,
    amount_micros bigint NOT NULL CONSTRAINT holds_amount_micros_check CHECK (amount_micros > 0),
    captured_micros bigint NOT NULL DEFAULT 0
        CONSTRAINT holds_captured_micros_check CHECK (captured_micros BETWEEN 0 AND amount_micros),
    state text NOT NULL DEFAULT 'provisional' CONSTRAINT holds_state_check
        CHECK (state IN ('provisional', 'confirmed', 'captured', 'released', 'expired')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL DEFAULT clock_timestamp() + interval '10 minutes',
    resolved_at timestamptz,
    FOREIGN KEY (account_id, environment) REFERENCES balances,
    CONSTRAINT holds_resolved_at_check
        CHECK ((resolved_at IS NULL) = (state IN ('provisional', 'confirmed')))
) WITH (fillfactor = 80);
CREATE INDEX holds_expires_at_idx ON holds (expires_at) WHERE state = 'provisional';
"""

# A transaction takes one balance from one version to the next; its entries say by how much, and add to zero.
# `available` and `held` belong to the customer and carry the running balance. `revenue` and `issued` are ours:
# they are summed when asked for, because a running balance would make every movement wait for one row.
HISTORY = """
CREATE TABLE transactions (
    transaction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text NOT NULL,
    environment text NOT NULL,
    version bigint NOT NULL,
    kind text NOT NULL CONSTRAINT transactions_kind_check
        CHECK (kind IN ('grant', 'hold', 'capture', 'release', 'expire')),
    reference text NOT NULL,
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (account_id, environment) REFERENCES balances,
    CONSTRAINT transactions_version_key UNIQUE (account_id, environment, version),
    CONSTRAINT transactions_reference_key UNIQUE (reference, kind)
);
CREATE TABLE entries (
    transaction_id bigint REFERENCES transactions,
    bucket text CONSTRAINT entries_bucket_check
        CHECK (bucket IN ('available', 'held', 'revenue', 'issued')),
    amount_micros bigint NOT NULL CONSTRAINT entries_amount_micros_check CHECK (amount_micros <> 0),
    balance_micros bigint CONSTRAINT entries_balance_micros_check
        CHECK (balance_micros >= 0 AND bucket IN ('available', 'held')
            OR balance_micros IS NULL AND bucket IN ('revenue', 'issued')),
    PRIMARY KEY (transaction_id, bucket)
);
"""

RULES_OF_HISTORY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'restrict_violation',
        MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' is refused; write a correcting transaction';
END $$;
CREATE TRIGGER transactions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_imbalance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added GROUP BY transaction_id HAVING sum(amount_micros) <> 0) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation',
            MESSAGE = 'the entries of a transaction are written together and add to zero';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entries_add_to_zero AFTER INSERT ON entries REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_imbalance();
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute(ACCOUNTS_AND_KEYS)
    op.execute(BALANCES_AND_HOLDS)
    op.execute(HISTORY)
    op.execute(RULES_OF_HISTORY)
