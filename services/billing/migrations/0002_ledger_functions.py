"""The ledger's operations: each is one call and one commit, and holds the row of a balance for that long only.

Whoever moves credits first locks every balance concerned, in the order of the primary key, and then takes holds
in the order of their ids: two batches may wait for each other, but never in a circle.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

LOCK = """
CREATE FUNCTION lock_balances(account_ids text[], environments text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM balances
    WHERE (account_id, environment) IN (SELECT * FROM unnest(account_ids, environments))
    ORDER BY account_id, environment
    FOR NO KEY UPDATE;
END $$;
"""

# Credits move in two steps, the first for each movement, the second once for a batch: the balance changes, and
# what happened is written down. What the customer has no longer is the system's, and the other way round.
MOVE = """
CREATE TYPE movement AS (
    account_id text, environment text, version bigint, kind text, reference text, reason text,
    to_available bigint, available_micros bigint, to_held bigint, held_micros bigint
);
CREATE FUNCTION move_credits(
    of_account text, of_environment text, of_kind text, of_reference text,
    to_available bigint, to_held bigint, of_reason text DEFAULT ''
) RETURNS movement LANGUAGE plpgsql AS $$
DECLARE
    moved movement;
BEGIN
    UPDATE balances
    SET available_micros = available_micros + to_available,
        held_micros = held_micros + to_held,
        version = version + 1
    WHERE account_id = of_account AND environment = of_environment
    RETURNING account_id, environment, version, of_kind, of_reference, of_reason,
              to_available, available_micros, to_held, held_micros
    INTO STRICT moved;
    RETURN moved;
END $$;

CREATE FUNCTION write_down(movements movement[], system_bucket text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH written AS (
        INSERT INTO transactions (account_id, environment, version, kind, reference, reason)
        SELECT account_id, environment, version, kind, reference, reason FROM unnest(movements)
        RETURNING transaction_id, kind, reference
    )
    INSERT INTO entries (transaction_id, bucket, amount_micros, balance_micros)
    SELECT written.transaction_id, part.*
    FROM unnest(movements) AS moved JOIN written USING (kind, reference)
    CROSS JOIN LATERAL (VALUES
        ('available', to_available, available_micros),
        ('held', to_held, held_micros),
        (system_bucket, -to_available - to_held, NULL)
    ) AS part (bucket, amount, balance)
    WHERE part.amount <> 0;
END $$;
"""

# `outcome` is OK or the reason of a refusal; what else is known about the hold or the balance comes with it.
ANSWER = """
CREATE TYPE hold_answer AS (
    position bigint, outcome text, available_micros bigint, hold_id text, account_id text, environment text,
    amount_micros bigint, captured_micros bigint, state text
);
CREATE FUNCTION hold_answer(at_position bigint, outcome text, hold holds, available bigint DEFAULT NULL)
RETURNS hold_answer LANGUAGE sql IMMUTABLE AS $$
    SELECT at_position, outcome, available, hold.hold_id, hold.account_id, hold.environment,
           hold.amount_micros, hold.captured_micros, hold.state
$$;
"""

CREATE_HOLDS = """
CREATE FUNCTION create_holds(hold_ids text[], account_ids text[], environments text[], amounts bigint[])
RETURNS SETOF hold_answer LANGUAGE plpgsql AS $$
DECLARE
    new record;
    hold holds;
    available bigint;
    outcome text;
    movements movement[] := '{}';
BEGIN
    PERFORM lock_balances(account_ids, environments);
    FOR new IN
        SELECT * FROM unnest(hold_ids, account_ids, environments, amounts)
            WITH ORDINALITY AS item (hold_id, account_id, environment, amount, position)
        ORDER BY hold_id, position
    LOOP
        outcome := 'OK';
        SELECT available_micros INTO available
        FROM balances WHERE account_id = new.account_id AND environment = new.environment;
        INSERT INTO holds (hold_id, account_id, environment, amount_micros)
        SELECT new.hold_id, new.account_id, new.environment, new.amount WHERE available >= new.amount
        ON CONFLICT DO NOTHING
        RETURNING * INTO hold;
        IF FOUND THEN
            movements := movements || move_credits(
                new.account_id, new.environment, 'hold', new.hold_id, -new.amount, new.amount);
        ELSE
            SELECT * INTO hold FROM holds WHERE hold_id = new.hold_id;
            outcome := CASE
                WHEN (hold.account_id, hold.environment, hold.amount_micros)
                    = (new.account_id, new.environment, new.amount) THEN 'OK'
                WHEN FOUND THEN 'HOLD_MISMATCH'
                WHEN available IS NULL THEN 'ACCOUNT_NOT_FOUND'
                ELSE 'CREDITS_INSUFFICIENT'
            END;
        END IF;
        RETURN NEXT hold_answer(new.position, outcome, hold, available);
    END LOOP;
    PERFORM write_down(movements, 'revenue');
END $$;
"""

# The UPDATE is the comparison: it finds the hold only in a state that may be left, in time, with enough in it.
# A provisional hold past its time counts as expired from that moment, whenever the sweep comes by.
CHANGE_HOLDS = """
CREATE FUNCTION change_holds(hold_ids text[], states text[], captures bigint[])
RETURNS SETOF hold_answer LANGUAGE plpgsql AS $$
DECLARE
    wish record;
    hold holds;
    outcome text;
    movements movement[] := '{}';
BEGIN
    PERFORM lock_balances(array_agg(account_id), array_agg(environment))
    FROM unnest(hold_ids, states) AS item (hold_id, state) JOIN holds USING (hold_id)
    WHERE item.state <> 'confirmed';
    FOR wish IN
        SELECT * FROM unnest(hold_ids, states, captures)
            WITH ORDINALITY AS item (hold_id, state, captured, position)
        ORDER BY hold_id, position
    LOOP
        outcome := 'OK';
        UPDATE holds
        SET state = wish.state,
            captured_micros = wish.captured,
            resolved_at = CASE WHEN wish.state <> 'confirmed' THEN clock_timestamp() END
        WHERE hold_id = wish.hold_id AND amount_micros >= wish.captured
            AND (state = 'provisional' AND (expires_at <= clock_timestamp()) = (wish.state = 'expired')
                OR state = 'confirmed' AND wish.state IN ('captured', 'released'))
        RETURNING * INTO hold;
        IF NOT FOUND THEN
            SELECT * INTO hold FROM holds WHERE hold_id = wish.hold_id;
            outcome := CASE
                WHEN NOT FOUND THEN 'HOLD_NOT_FOUND'
                WHEN hold.state = wish.state AND hold.captured_micros = wish.captured THEN 'OK'
                WHEN hold.state = wish.state THEN 'HOLD_MISMATCH'
                WHEN hold.resolved_at IS NOT NULL THEN 'HOLD_' || upper(hold.state)
                WHEN hold.state = 'provisional' AND hold.expires_at <= clock_timestamp() THEN 'HOLD_EXPIRED'
                ELSE 'AMOUNT_ABOVE_HOLD'
            END;
        ELSIF wish.state <> 'confirmed' THEN
            movements := movements || move_credits(
                hold.account_id, hold.environment,
                CASE wish.state WHEN 'captured' THEN 'capture' WHEN 'released' THEN 'release' ELSE 'expire' END,
                hold.hold_id, hold.amount_micros - wish.captured, -hold.amount_micros);
        END IF;
        RETURN NEXT hold_answer(wish.position, outcome, hold);
    END LOOP;
    PERFORM write_down(movements, 'revenue');
END $$;

CREATE FUNCTION expire_holds(holds_max integer) RETURNS bigint LANGUAGE sql AS $$
    WITH overdue AS MATERIALIZED (
        SELECT hold_id FROM holds
        WHERE state = 'provisional' AND expires_at <= clock_timestamp()
        ORDER BY expires_at LIMIT holds_max
    ), batch AS (
        SELECT array_agg(hold_id) AS ids, array_agg('expired'::text) AS states, array_agg(0::bigint) AS captures
        FROM overdue
    )
    SELECT count(*) FROM batch, change_holds(ids, states, captures);
$$;
"""

GRANT = """
CREATE FUNCTION grant_credits(
    new_id text, of_account text, of_environment text, amount bigint, of_reason text, total_max bigint,
    OUT outcome text, OUT available bigint
) LANGUAGE plpgsql AS $$
DECLARE
    balance balances;
    earlier record;
    moved movement;
BEGIN
    SELECT * INTO balance FROM balances
    WHERE account_id = of_account AND environment = of_environment FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        outcome := 'ACCOUNT_NOT_FOUND';
        RETURN;
    END IF;
    SELECT * INTO earlier FROM transactions JOIN entries USING (transaction_id)
    WHERE kind = 'grant' AND reference = new_id AND bucket = 'available';
    IF FOUND THEN
        outcome := CASE
            WHEN (earlier.account_id, earlier.environment, earlier.amount_micros)
                = (of_account, of_environment, amount) THEN 'OK'
            ELSE 'GRANT_MISMATCH'
        END;
        available := earlier.balance_micros;
    ELSIF balance.available_micros + balance.held_micros > total_max - amount THEN
        outcome := 'INVALID_FIELD';
    ELSE
        moved := move_credits(of_account, of_environment, 'grant', new_id, amount, 0, of_reason);
        PERFORM write_down(ARRAY[moved], 'issued');
        outcome := 'OK';
        available := moved.available_micros;
    END IF;
EXCEPTION WHEN unique_violation THEN
    outcome := 'GRANT_MISMATCH';
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (LOCK, MOVE, ANSWER, CREATE_HOLDS, CHANGE_HOLDS, GRANT):
        op.execute(part)
