"""What is spent in test is limited by the day, unless an operator said otherwise, and refills are no operator's."""

from alembic import op

revision = "0010"
down_revision = "0009"

LIMITS = """
UPDATE spending SET per_day_micros = CASE contract WHEN 'nextapi' THEN 350000000 ELSE 100000000000 END
FROM accounts
WHERE subject_id = accounts.account_id AND environment = 'test' AND per_day_micros IS NULL;
"""

# The transaction says all there is to say of a refill. The audit is for what people do.
REFILL = """
CREATE OR REPLACE FUNCTION refill_test_balances(short_ids text[], contracts text[], standing_micros bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM move_credits(array_agg(ROW(
        account_id, 'test', 'grant', 'refill_' || account_id || '_' || version + 1,
        standing.micros - available_micros, 0, 'The test balance refills itself.', NULL
    )::movement ORDER BY account_id), 'issued')
    FROM accounts
    JOIN balances USING (account_id)
    JOIN unnest(contracts, standing_micros) AS standing (contract, micros) USING (contract)
    WHERE account_id = ANY (short_ids) AND environment = 'test' AND available_micros < standing.micros
    HAVING count(*) > 0;
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (LIMITS, REFILL):
        op.execute(part)
