CREATE OR REPLACE FUNCTION public.ulid_at(moment timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
    SELECT string_agg(
        substr('0123456789abcdefghjkmnpqrstvwxyz', CAST((milliseconds >> (5 * place)) & 31 AS integer) + 1, 1), ''
        ORDER BY place DESC
    )
    FROM generate_series(0, 9) AS place, CAST(extract(epoch FROM moment) * 1000 AS bigint) AS milliseconds
$function$;
