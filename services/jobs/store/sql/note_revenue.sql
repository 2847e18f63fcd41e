CREATE OR REPLACE FUNCTION public.note_revenue()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF OLD.ended_at IS NULL THEN
        NEW.rendered_by := coalesce((
            SELECT provider FROM attempts WHERE job_id = NEW.id AND outcome = 'succeeded' ORDER BY number DESC LIMIT 1
        ), '');
    ELSIF NEW.rendered_by IS NULL THEN
        RETURN NEW;
    END IF;
    INSERT INTO margin_changes (job_id, provider, completed_jobs, failed_jobs, charged_micros, returned_micros)
    VALUES (
        NEW.id, NEW.rendered_by,
        CAST(NEW.status = 'completed' AS integer) - CAST(OLD.status = 'completed' AS integer),
        CAST(NEW.status = 'failed' AS integer) - CAST(OLD.status = 'failed' AS integer),
        NEW.charged_micros - OLD.charged_micros, NEW.returned_micros - OLD.returned_micros
    );
    RETURN NEW;
END $function$;
