CREATE OR REPLACE FUNCTION public.weigh_holds(hold_ids text[], account_ids text[], environments text[], amounts bigint[], key_ids text[], today date)
 RETURNS verdict[]
 LANGUAGE plpgsql
AS $function$
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
END $function$;
