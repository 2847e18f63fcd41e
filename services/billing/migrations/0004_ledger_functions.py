"""The ledger's operations anew: spend limits, holds that all expire, corrections and refunds.

As before, each is one call and one commit. Whoever moves credits first locks every balance concerned, in the order
of the primary key, and then takes holds in the order of their ids: two batches may wait for each other, but never
in a circle. What counts against limits is changed only under the lock of its balance.

A batch is a few statements, however many holds it has: to start one costs more than a row of it.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

FORGET = """
DROP FUNCTION create_holds, change_holds, expire_holds, grant_credits, hold_answer, write_down, move_credits;
DROP TYPE hold_answer, movement;
"""

# A foreign key locks a row for each entry, which was a sixth of what a hold costs. Transactions are never deleted,
# so it is enough to look for them when entries are written.
RULES_OF_HISTORY = """
ALTER TABLE entries DROP CONSTRAINT entries_transaction_id_fkey;
CREATE OR REPLACE FUNCTION refuse_imbalance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added LEFT JOIN transactions USING (transaction_id)
        GROUP BY transaction_id HAVING sum(amount_micros) <> 0 OR count(version) = 0
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation',
            MESSAGE = 'the entries of a transaction are written together, after it, and add to zero';
    END IF;
    RETURN NULL;
END $$;
"""

# However many movements there are, a balance is written once. What the customer has no longer is the system's,
# and the other way round. All parts of the statement read the balances as they were before it.
MOVE = """
CREATE TYPE movement AS (
    account_id text, environment text, kind text, reference text, to_available bigint, to_held bigint,
    reason text, refers_to bigint
);
CREATE FUNCTION move_credits(movements movement[], system_bucket text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH moved AS MATERIALIZED (
        SELECT nextval('transactions_transaction_id_seq') AS transaction_id, item.*,
            balances.version + count(*) OVER earlier AS version,
            balances.available_micros + sum(to_available) OVER earlier AS available_micros,
            balances.held_micros + sum(to_held) OVER earlier AS held_micros
        FROM unnest(movements) WITH ORDINALITY AS item LEFT JOIN balances USING (account_id, environment)
        WINDOW earlier AS (PARTITION BY account_id, environment ORDER BY ordinality)
    ), balanced AS (
        UPDATE balances
        SET available_micros = balances.available_micros + total.to_available,
            held_micros = balances.held_micros + total.to_held,
            version = balances.version + total.count
        FROM (
            SELECT account_id, environment, sum(to_available) AS to_available, sum(to_held) AS to_held, count(*)
            FROM moved GROUP BY account_id, environment
        ) AS total
        WHERE (balances.account_id, balances.environment) = (total.account_id, total.environment)
    ), written AS (
        INSERT INTO transactions
            (transaction_id, account_id, environment, version, kind, reference, reason, refers_to)
        OVERRIDING SYSTEM VALUE
        SELECT transaction_id, account_id, environment, version, kind, reference, reason, refers_to FROM moved
    )
    INSERT INTO entries (transaction_id, bucket, amount_micros, balance_micros)
    SELECT transaction_id, part.*
    FROM moved CROSS JOIN LATERAL (VALUES
        ('available', to_available, available_micros),
        ('held', to_held, held_micros),
        (system_bucket, -to_available - to_held, NULL)
    ) AS part (bucket, amount, balance)
    WHERE part.amount <> 0;
END $$;
"""

SPEND = """
CREATE FUNCTION spent_in_day(subject spending, today date) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN subject.day = today THEN subject.day_micros ELSE 0 END
$$;
CREATE FUNCTION spent_in_month(subject spending, today date) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN subject.month = date_trunc('month', today)::date THEN subject.month_micros ELSE 0 END
$$;
CREATE FUNCTION spend(made holds[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE spending
    SET day_micros = spent_in_day(spending, today) + amount,
        day = today,
        month_micros = spent_in_month(spending, today) + amount,
        month = date_trunc('month', today)
    FROM (
        SELECT subject_id, environment, max(spent_on) AS today, sum(amount_micros) AS amount
        FROM unnest(made) CROSS JOIN LATERAL (VALUES (account_id), (key_id)) AS subject (subject_id)
        GROUP BY subject_id, environment
    ) AS spent
    WHERE (spending.subject_id, spending.environment) = (spent.subject_id, spent.environment);
END $$;
CREATE FUNCTION unspend(resolved holds[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH unspent AS MATERIALIZED (
        SELECT subject_id, environment, spent_on, sum(amount_micros - captured_micros) AS amount
        FROM unnest(resolved) CROSS JOIN LATERAL (VALUES (account_id), (key_id)) AS subject (subject_id)
        WHERE amount_micros > captured_micros
        GROUP BY subject_id, environment, spent_on
    )
    UPDATE spending
    SET day_micros = spending.day_micros - of_day,
        month_micros = spending.month_micros - of_month
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

# Nothing is written here: each hold is weighed against what the balance has and the limits leave, those before it
# in the batch taken as made. Ids that are in use are left out.
WEIGH = """
CREATE TYPE verdict AS (
    outcome text, available_micros bigint,
    limit_subject_id text, limit_period text, limit_micros bigint, limit_spent_micros bigint
);
CREATE FUNCTION find_limit_reached(subject spending, amount bigint, taken bigint, today date)
RETURNS verdict LANGUAGE sql IMMUTABLE AS $$
    SELECT 'SPEND_LIMIT_EXCEEDED', NULL::bigint, subject.subject_id, period, most, spent
    FROM (VALUES
        ('job', subject.per_job_micros, 0),
        ('day', subject.per_day_micros, spent_in_day(subject, today) + taken),
        ('month', subject.per_month_micros, spent_in_month(subject, today) + taken)
    ) AS bound (period, most, spent)
    WHERE most - spent < amount
    LIMIT 1
$$;
CREATE FUNCTION weigh_holds(
    hold_ids text[], account_ids text[], environments text[], amounts bigint[], key_ids text[], today date
) RETURNS verdict[] LANGUAGE plpgsql AS $$
DECLARE
    new record;
    accepted_id text;
    reached verdict;
    available bigint;
    taken bigint[] := array_fill(0::bigint, ARRAY[cardinality(hold_ids)]);
    taken_by_key bigint[] := taken;
    verdicts verdict[] := array_fill(NULL::verdict, ARRAY[cardinality(hold_ids)]);
BEGIN
    FOR new IN
        SELECT item.*, available_micros, of_account, of_key,
            item.key_id IS NOT NULL AND of_key.account_id IS DISTINCT FROM item.account_id AS is_key_foreign,
            coalesce(
                of_account.per_job_micros, of_account.per_day_micros, of_account.per_month_micros,
                of_key.per_job_micros, of_key.per_day_micros, of_key.per_month_micros
            ) IS NOT NULL AS is_limited,
            dense_rank() OVER (ORDER BY item.account_id, item.environment) AS number,
            dense_rank() OVER (ORDER BY item.key_id, item.environment) AS key_number
        FROM unnest(hold_ids, account_ids, environments, amounts, key_ids)
            WITH ORDINALITY AS item (hold_id, account_id, environment, amount, key_id, position)
        LEFT JOIN holds USING (hold_id)
        LEFT JOIN balances ON (balances.account_id, balances.environment) = (item.account_id, item.environment)
        LEFT JOIN spending AS of_account
            ON (of_account.subject_id, of_account.environment) = (item.account_id, item.environment)
        LEFT JOIN spending AS of_key
            ON (of_key.subject_id, of_key.environment) = (item.key_id, item.environment)
        WHERE holds.hold_id IS NULL
        ORDER BY hold_id, position
    LOOP
        CONTINUE WHEN new.hold_id = accepted_id;
        available := new.available_micros - taken[new.number];
        reached := NULL;
        IF new.is_limited THEN
            reached := find_limit_reached(new.of_account, new.amount, taken[new.number], today);
            IF reached.outcome IS NULL THEN
                reached := find_limit_reached(new.of_key, new.amount, taken_by_key[new.key_number], today);
            END IF;
        END IF;
        IF available IS NULL THEN
            verdicts[new.position].outcome := 'ACCOUNT_NOT_FOUND';
        ELSIF new.is_key_foreign THEN
            verdicts[new.position].outcome := 'KEY_NOT_FOUND';
        ELSIF reached.outcome IS NOT NULL THEN
            verdicts[new.position] := reached;
        ELSIF available < new.amount THEN
            verdicts[new.position].outcome := 'CREDITS_INSUFFICIENT';
            verdicts[new.position].available_micros := available;
        ELSE
            verdicts[new.position].outcome := 'OK';
            accepted_id := new.hold_id;
            taken[new.number] := taken[new.number] + new.amount;
            taken_by_key[new.key_number] := taken_by_key[new.key_number] + new.amount;
        END IF;
    END LOOP;
    RETURN verdicts;
END $$;
"""

# `outcome` is OK or the reason of a refusal; what else is known about the hold, the balance or the limit comes with it.
ANSWER = """
CREATE TYPE hold_answer AS (
    position bigint, outcome text,
    hold_id text, account_id text, environment text, amount_micros bigint, captured_micros bigint,
    refunded_micros bigint, state text, created_at timestamptz,
    available_micros bigint, limit_subject_id text, limit_period text, limit_micros bigint, limit_spent_micros bigint
);
CREATE FUNCTION hold_answer(at_position bigint, outcome text, hold holds)
RETURNS hold_answer LANGUAGE sql IMMUTABLE AS $$
    SELECT at_position, outcome, hold.hold_id, hold.account_id, hold.environment, hold.amount_micros,
           hold.captured_micros, hold.refunded_micros, hold.state, hold.created_at,
           NULL::bigint, NULL, NULL, NULL::bigint, NULL::bigint
$$;
"""

CREATE_HOLDS = """
CREATE FUNCTION create_holds(
    hold_ids text[], account_ids text[], environments text[], amounts bigint[], key_ids text[]
) RETURNS SETOF hold_answer LANGUAGE plpgsql AS $$
DECLARE
    today date;
    verdicts verdict[];
    made holds[];
    are_all_made boolean;
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
        -- Others may have used an id for another balance meanwhile: what it would have taken is free for those refused.
        EXIT WHEN are_all_made;
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

# A hold past its time counts as expired from that moment, whenever the sweep comes by.
CHANGE_HOLDS = """
CREATE FUNCTION change_holds(hold_ids text[], states text[], captures bigint[], lasts_seconds integer[])
RETURNS SETOF hold_answer LANGUAGE plpgsql AS $$
DECLARE
    wish record;
    hold holds;
    changed holds[] := '{}';
    changes integer := 0;
    outcome text;
BEGIN
    PERFORM lock_balances(array_agg(account_id), array_agg(environment))
    FROM unnest(hold_ids, states) AS item (hold_id, state) JOIN holds USING (hold_id)
    WHERE item.state <> 'confirmed';
    FOR wish IN
        SELECT item.*, found.hold
        FROM (
            SELECT * FROM unnest(hold_ids, states, captures, lasts_seconds)
                WITH ORDINALITY AS item (hold_id, state, captured, lasts, position)
            ORDER BY hold_id, position
        ) AS item
        LEFT JOIN LATERAL (
            SELECT holds AS hold FROM holds WHERE holds.hold_id = item.hold_id FOR NO KEY UPDATE
        ) AS found ON true
    LOOP
        IF hold.hold_id IS DISTINCT FROM wish.hold_id THEN
            hold := wish.hold;
        END IF;
        outcome := CASE
            WHEN hold.hold_id IS NULL THEN 'HOLD_NOT_FOUND'
            WHEN hold.resolved_at IS NOT NULL AND hold.state <> wish.state THEN 'HOLD_' || upper(hold.state)
            WHEN hold.resolved_at IS NOT NULL AND hold.captured_micros = wish.captured THEN 'OK'
            WHEN hold.resolved_at IS NOT NULL THEN 'HOLD_MISMATCH'
            WHEN (hold.expires_at <= clock_timestamp()) <> (wish.state = 'expired') THEN 'HOLD_EXPIRED'
            WHEN hold.amount_micros < wish.captured THEN 'AMOUNT_ABOVE_HOLD'
            ELSE 'OK'
        END;
        IF outcome = 'OK' AND hold.resolved_at IS NULL THEN
            hold.state := wish.state;
            hold.captured_micros := wish.captured;
            IF wish.state = 'confirmed' THEN
                hold.expires_at := greatest(hold.expires_at, clock_timestamp() + make_interval(secs => wish.lasts));
            ELSE
                hold.resolved_at := clock_timestamp();
            END IF;
            IF changes = 0 OR changed[changes].hold_id <> hold.hold_id THEN
                changes := changes + 1;
            END IF;
            changed[changes] := hold;
        END IF;
        RETURN NEXT hold_answer(wish.position, outcome, hold);
    END LOOP;
    UPDATE holds
    SET state = new.state, captured_micros = new.captured_micros,
        expires_at = new.expires_at, resolved_at = new.resolved_at
    FROM unnest(changed) AS new WHERE holds.hold_id = new.hold_id;
    PERFORM unspend(array_agg(new)), move_credits(array_agg(ROW(
        account_id, environment,
        CASE state WHEN 'captured' THEN 'capture' WHEN 'released' THEN 'release' ELSE 'expire' END,
        hold_id, amount_micros - captured_micros, -amount_micros, '', NULL)::movement), 'revenue')
    FROM unnest(changed) AS new WHERE resolved_at IS NOT NULL HAVING count(*) > 0;
END $$;

CREATE FUNCTION expire_holds(holds_max integer) RETURNS bigint LANGUAGE sql AS $$
    WITH overdue AS MATERIALIZED (
        SELECT hold_id FROM holds
        WHERE resolved_at IS NULL AND expires_at <= clock_timestamp()
        ORDER BY expires_at LIMIT holds_max
    ), batch AS (
        SELECT array_agg(hold_id) AS ids, array_agg('expired'::text) AS states,
               array_agg(0::bigint) AS captures, array_agg(0) AS lasts
        FROM overdue
    )
    SELECT count(*) FROM batch, change_holds(ids, states, captures, lasts);
$$;
"""

REFUND = """
CREATE FUNCTION refund_hold(new_id text, of_hold text, amount bigint, of_reason text)
RETURNS hold_answer LANGUAGE plpgsql AS $$
DECLARE
    hold holds;
    earlier record;
    capture bigint;
BEGIN
    PERFORM lock_balances(array_agg(account_id), array_agg(environment)) FROM holds WHERE hold_id = of_hold;
    SELECT * INTO hold FROM holds WHERE hold_id = of_hold;
    IF NOT FOUND THEN
        RETURN hold_answer(1, 'HOLD_NOT_FOUND', hold);
    END IF;
    SELECT transaction_id INTO capture FROM transactions WHERE kind = 'capture' AND reference = of_hold;
    SELECT refers_to, amount_micros INTO earlier FROM transactions JOIN entries USING (transaction_id)
    WHERE kind = 'refund' AND reference = new_id AND bucket = 'available';
    IF FOUND THEN
        RETURN hold_answer(1, CASE
            WHEN (earlier.refers_to, earlier.amount_micros) = (capture, amount) THEN 'OK' ELSE 'REFUND_MISMATCH'
        END, hold);
    ELSIF hold.state <> 'captured' THEN
        RETURN hold_answer(1, 'HOLD_NOT_CAPTURED', hold);
    ELSIF hold.captured_micros - hold.refunded_micros < amount THEN
        RETURN hold_answer(1, 'REFUND_ABOVE_CHARGE', hold);
    END IF;
    UPDATE holds SET refunded_micros = refunded_micros + amount WHERE hold_id = of_hold RETURNING * INTO hold;
    PERFORM move_credits(ARRAY[ROW(
        hold.account_id, hold.environment, 'refund', new_id, amount, 0, of_reason, capture)::movement], 'revenue');
    RETURN hold_answer(1, 'OK', hold);
EXCEPTION WHEN unique_violation THEN
    RETURN hold_answer(1, 'REFUND_MISMATCH', hold);
END $$;
"""

GIVE = """
CREATE FUNCTION give_credits(
    of_kind text, new_id text, of_account text, of_environment text, amount bigint, total_max bigint,
    of_actor text, of_reason text, OUT outcome text, OUT available bigint
) LANGUAGE plpgsql AS $$
DECLARE
    balance balances;
    earlier record;
BEGIN
    SELECT * INTO balance FROM balances
    WHERE account_id = of_account AND environment = of_environment FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        outcome := 'ACCOUNT_NOT_FOUND';
        RETURN;
    END IF;
    available := balance.available_micros;
    SELECT * INTO earlier FROM transactions JOIN entries USING (transaction_id)
    WHERE kind = of_kind AND reference = new_id AND bucket = 'available';
    IF FOUND THEN
        outcome := CASE
            WHEN (earlier.account_id, earlier.environment, earlier.amount_micros)
                = (of_account, of_environment, amount) THEN 'OK'
            ELSE upper(of_kind) || '_MISMATCH'
        END;
        available := earlier.balance_micros;
    ELSIF balance.available_micros + balance.held_micros > total_max - amount THEN
        outcome := 'INVALID_FIELD';
    ELSIF balance.available_micros < -amount THEN
        outcome := 'CREDITS_INSUFFICIENT';
    ELSE
        PERFORM move_credits(ARRAY[ROW(
            of_account, of_environment, of_kind, new_id, amount, 0, of_reason, NULL)::movement], 'issued');
        INSERT INTO audit (actor, action, subject_id, reason, details)
        VALUES (of_actor, 'credits.' || of_kind, of_account, of_reason, jsonb_build_object(
            'id', new_id, 'environment', of_environment, 'amount_micros', amount));
        outcome := 'OK';
        available := balance.available_micros + amount;
    END IF;
EXCEPTION WHEN unique_violation THEN
    outcome := upper(of_kind) || '_MISMATCH';
END $$;
"""

# Plans are made once, when tables may still be empty, and must fit a million rows: looking up each row of a batch
# by its key does, and reading a whole table never does.
PLANS = "".join(
    f"ALTER FUNCTION {name} SET {setting};"
    for name in ("create_holds", "change_holds", "refund_hold", "give_credits")
    for setting in (
        "plan_cache_mode = force_generic_plan",
        "enable_seqscan = off",
        "enable_hashjoin = off",
        "enable_mergejoin = off",
    )
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
    for part in (
        FORGET, RULES_OF_HISTORY, MOVE, SPEND, WEIGH, ANSWER, CREATE_HOLDS, CHANGE_HOLDS, REFUND, GIVE, PLANS,
    ):  # fmt: skip
        op.execute(part)
