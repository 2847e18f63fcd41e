CREATE OR REPLACE FUNCTION public.spent_in_month(subject spending, today date)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE
AS $function$
    SELECT CASE WHEN subject.month = date_trunc('month', today)::date THEN subject.month_micros ELSE 0 END
$function$;
