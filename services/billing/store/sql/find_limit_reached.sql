CREATE OR REPLACE FUNCTION public.find_limit_reached(subject spending, amount bigint, taken bigint, today date)
 RETURNS verdict
 LANGUAGE sql
 IMMUTABLE
AS $function$
    SELECT 'SPEND_LIMIT_EXCEEDED', NULL::bigint, subject.subject_id, period, most, spent
    FROM (VALUES
        ('job', subject.per_job_micros, 0),
        ('day', subject.per_day_micros, spent_in_day(subject, today) + taken),
        ('month', subject.per_month_micros, spent_in_month(subject, today) + taken)
    ) AS bound (period, most, spent)
    WHERE most - spent < amount
    LIMIT 1
$function$;
