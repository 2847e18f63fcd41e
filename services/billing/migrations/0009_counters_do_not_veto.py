"""What is spent in a day or month guards limits. It follows from the ledger, and never stops it."""

from alembic import op

revision = "0009"
down_revision = "0008"

# After the clock stepped back over midnight a day may have less on it than a hold of that day gives back.
# The ledger goes on, and its verification tells how much the counter is off until the day or month is over.
COUNTERS = """
ALTER TABLE spending
    DROP CONSTRAINT spending_day_micros_check,
    DROP CONSTRAINT spending_month_micros_check;
CREATE OR REPLACE FUNCTION unspend(resolved holds[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH unspent AS MATERIALIZED (
        SELECT subject_id, environment, spent_on, sum(amount_micros - captured_micros) AS amount
        FROM unnest(resolved) CROSS JOIN LATERAL (VALUES (account_id), (key_id)) AS subject (subject_id)
        WHERE amount_micros > captured_micros
        GROUP BY subject_id, environment, spent_on
    )
    UPDATE spending
    SET day_micros = greatest(spending.day_micros - of_day, 0),
        month_micros = greatest(spending.month_micros - of_month, 0)
    FROM (
        SELECT subject_id, environment,
            coalesce(sum(amount) FILTER (WHERE spent_on = day), 0) AS of_day,
            coalesce(sum(amount) FILTER (WHERE date_trunc('month', spent_on)::date = month), 0) AS of_month
        FROM unspent JOIN spending USING (subject_id, environment)
        GROUP BY subject_id, environment
    ) AS back
    WHERE (spending.subject_id, spending.environment) = (back.subject_id, back.environment);
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    op.execute(COUNTERS)
