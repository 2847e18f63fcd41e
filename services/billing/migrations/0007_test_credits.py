"""Test balances refill themselves: a hold that would be refused there for want of credits has them granted first."""

from alembic import op

revision = "0007"
down_revision = "0006"

# A version of a balance is granted only once, so it names the grant. The balance is locked by whoever asks.
REFILL = """
CREATE FUNCTION refill_test_balances(short_ids text[], contracts text[], standing_micros bigint[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    short record;
    refill_reason CONSTANT text := 'The test balance refills itself.';
BEGIN
    FOR short IN
        SELECT account_id, 'refill_' || account_id || '_' || version + 1 AS grant_id,
            standing.micros - available_micros AS missing_micros
        FROM accounts
        JOIN balances USING (account_id)
        JOIN unnest(contracts, standing_micros) AS standing (contract, micros) USING (contract)
        WHERE account_id = ANY (short_ids) AND environment = 'test' AND available_micros < standing.micros
        ORDER BY account_id
    LOOP
        PERFORM move_credits(ARRAY[ROW(
            short.account_id, 'test', 'grant', short.grant_id, short.missing_micros, 0, refill_reason, NULL
        )::movement], 'issued');
        INSERT INTO audit (actor, action, subject_id, reason, details)
        VALUES ('billing', 'credits.grant', short.account_id, refill_reason, jsonb_build_object(
            'id', short.grant_id, 'environment', 'test', 'amount_micros', short.missing_micros));
    END LOOP;
END $$;
"""

# Whoever calls it without the last two, as the release before does, refills nothing.
CREATE_HOLDS = """
DROP FUNCTION create_holds;
CREATE FUNCTION create_holds(
    hold_ids text[], account_ids text[], environments text[], amounts bigint[], key_ids text[],
    contracts text[] DEFAULT '{}', standing_micros bigint[] DEFAULT '{}'
) RETURNS SETOF hold_answer LANGUAGE plpgsql AS $$
DECLARE
    today date;
    verdicts verdict[];
    made holds[];
    are_all_made boolean;
    short_ids text[];
BEGIN
    PERFORM lock_balances(account_ids, environments);
    today := clock_timestamp() AT TIME ZONE 'UTC';
    LOOP
        verdicts := weigh_holds(hold_ids, account_ids, environments, amounts, key_ids, today);
        WITH accepted AS MATERIALIZED (
            SELECT hold_id, account_id, environment, amount, key_id
            FROM unnest(hold_ids, account_ids, environments, amounts, key_ids, verdicts)
                AS item (hold_id, account_id, environment, amount, key_id, outcome)
            WHERE outcome = 'OK'
            ORDER BY hold_id
        ), inserted AS (
            INSERT INTO holds (hold_id, account_id, environment, amount_micros, key_id, spent_on)
            SELECT accepted.*, today FROM accepted
            ON CONFLICT DO NOTHING
            RETURNING holds AS hold
        )
        SELECT array_agg(hold), count(*) = (SELECT count(*) FROM accepted) INTO made, are_all_made FROM inserted;
        IF made IS NOT NULL THEN
            PERFORM spend(made);
            PERFORM move_credits(array_agg(ROW(
                account_id, environment, 'hold', hold_id, -amount_micros, amount_micros, '', NULL
            )::movement), 'revenue')
            FROM unnest(made);
        END IF;
        short_ids := NULL;
        IF 'test' = ANY (environments) THEN
            SELECT array_agg(DISTINCT account_id) INTO short_ids
            FROM unnest(account_ids, environments, amounts, verdicts)
                AS item (account_id, environment, amount, outcome)
            JOIN accounts USING (account_id)
            JOIN unnest(contracts, standing_micros) AS standing (contract, micros) USING (contract)
            WHERE outcome = 'CREDITS_INSUFFICIENT' AND environment = 'test' AND amount <= standing.micros;
            PERFORM refill_test_balances(short_ids, contracts, standing_micros) WHERE short_ids IS NOT NULL;
        END IF;
        -- Others may have used an id for another balance meanwhile: what it would have taken is free for those refused.
        -- After a refill the first of those refused is accepted, so there are no more rounds than holds.
        EXIT WHEN are_all_made AND short_ids IS NULL;
    END LOOP;
    RETURN QUERY
    SELECT item.position,
        CASE
            WHEN hold.hold_id IS NULL THEN item.outcome
            WHEN (hold.account_id, hold.environment, hold.amount_micros)
                = (item.account_id, item.environment, item.amount) THEN 'OK'
            ELSE 'HOLD_MISMATCH'
        END,
        hold.hold_id, hold.account_id, hold.environment, hold.amount_micros, hold.captured_micros,
        hold.refunded_micros, hold.state, hold.created_at,
        available_micros, limit_subject_id, limit_period, limit_micros, limit_spent_micros
    FROM unnest(hold_ids, account_ids, environments, amounts, verdicts) WITH ORDINALITY
        AS item (hold_id, account_id, environment, amount, outcome, available_micros,
            limit_subject_id, limit_period, limit_micros, limit_spent_micros, position)
    LEFT JOIN holds AS hold USING (hold_id);
END $$;
"""

PLANS = "".join(
    f"ALTER FUNCTION create_holds SET {setting};"
    for setting in (
        "plan_cache_mode = force_generic_plan",
        "enable_seqscan = off",
        "enable_hashjoin = off",
        "enable_mergejoin = off",
    )
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (REFILL, CREATE_HOLDS, PLANS):
        op.execute(part)
