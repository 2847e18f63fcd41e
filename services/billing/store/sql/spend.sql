CREATE OR REPLACE FUNCTION public.spend(made holds[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
END $function$;
