CREATE OR REPLACE FUNCTION public.unspend(resolved holds[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
END $function$;
