CREATE OR REPLACE FUNCTION public.note_cost()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    INSERT INTO margin_changes (job_id, provider, cost_micros)
    VALUES (NEW.job_id, NEW.provider, coalesce(NEW.cost_micros, 0) - coalesce(OLD.cost_micros, 0));
    RETURN NULL;
END $function$;
