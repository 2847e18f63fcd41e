CREATE OR REPLACE FUNCTION public.move_credits(movements movement[], system_bucket text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
END $function$;
