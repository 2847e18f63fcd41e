CREATE OR REPLACE FUNCTION public.job_partitions()
 RETURNS TABLE(name text, low text, high text)
 LANGUAGE sql
 STABLE
AS $function$
    SELECT CAST(relname AS text), substring(bounds FROM 'FROM \(''([^'']*)''\)'), substring(bounds FROM 'TO \(''([^'']*)''\)')
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    CROSS JOIN LATERAL pg_get_expr(relpartbound, pg_class.oid) AS bounds
    WHERE inhparent = CAST('public.jobs' AS regclass)
$function$;
