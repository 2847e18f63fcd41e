CREATE OR REPLACE FUNCTION public.forget_places()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
BEGIN
    DELETE FROM place_changes;
    DELETE FROM places;
    RETURN NULL;
END $function$;
