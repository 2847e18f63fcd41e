"""An account has a signing secret in each environment, which is rotated as those of endpoints are."""

from alembic import op

revision = "0008"
down_revision = "0007"

# During a rotation `next_sealed_secret` waits to be confirmed; afterwards the former one signs until `previous_until`.
ACCOUNT_SECRETS = """
CREATE TABLE account_secrets (
    account_id text,
    environment text CONSTRAINT account_secrets_environment_check CHECK (environment IN ('live', 'test')),
    is_signing boolean NOT NULL DEFAULT true,
    sealed_secret bytea NOT NULL,
    next_sealed_secret bytea,
    previous_sealed_secret bytea,
    previous_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, environment),
    CONSTRAINT account_secrets_previous_check CHECK ((previous_sealed_secret IS NULL) = (previous_until IS NULL))
);
"""

# The secret that an account had goes on in both environments, until it is rotated there. So does one that a process of
# the release before makes while this one takes over.
COPY = """
CREATE FUNCTION copy_signing_secret() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account_secrets (account_id, environment, sealed_secret)
    VALUES (NEW.account_id, 'live', NEW.sealed_secret), (NEW.account_id, 'test', NEW.sealed_secret)
    ON CONFLICT (account_id, environment) DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER signing_secrets_copy AFTER INSERT ON signing_secrets
    FOR EACH ROW EXECUTE FUNCTION copy_signing_secret();
INSERT INTO account_secrets (account_id, environment, sealed_secret, created_at)
SELECT account_id, environment, sealed_secret, created_at
FROM signing_secrets CROSS JOIN unnest(ARRAY['live', 'test']) AS environment
ON CONFLICT (account_id, environment) DO NOTHING;
"""

# Signing can be switched off for the callbacks of one contract only. Endpoints have secrets of their own.
SEALED_SECRETS = """
CREATE OR REPLACE FUNCTION sealed_secrets_of(of_target text, of_account text, of_environment text, of_contract text)
RETURNS bytea[] LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN of_target = 'callback'
        THEN ARRAY(
            SELECT secret FROM account_secrets CROSS JOIN LATERAL unnest(ARRAY[
                sealed_secret, next_sealed_secret, CASE WHEN previous_until > now() THEN previous_sealed_secret END
            ]) WITH ORDINALITY AS _ (secret, place)
            WHERE account_id = of_account AND environment = of_environment
                AND (is_signing OR of_contract <> 'seedancee2') AND secret IS NOT NULL
            ORDER BY place
        )
        ELSE ARRAY(
            SELECT secret FROM endpoints CROSS JOIN LATERAL unnest(ARRAY[
                sealed_secret, next_sealed_secret, CASE WHEN previous_until > now() THEN previous_sealed_secret END
            ]) WITH ORDINALITY AS _ (secret, place)
            WHERE endpoint_id = of_target AND secret IS NOT NULL ORDER BY place
        )
    END
$$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (ACCOUNT_SECRETS, COPY, SEALED_SECRETS):
        op.execute(part)
