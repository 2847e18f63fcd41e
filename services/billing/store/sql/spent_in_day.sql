CREATE OR REPLACE FUNCTION public.spent_in_day(subject spending, today date)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE
AS $function$
    SELECT CASE WHEN subject.day = today THEN subject.day_micros ELSE 0 END
$function$;
