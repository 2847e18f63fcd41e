CREATE OR REPLACE FUNCTION public.moment_of(ulid text)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE
AS $function$
    SELECT to_timestamp(CAST(sum(
        (strpos('0123456789abcdefghjkmnpqrstvwxyz', substr(ulid, place, 1)) - 1) * 32.0 ^ (10 - place)
    ) / 1000 AS double precision))
    FROM generate_series(1, 10) AS place
$function$;
