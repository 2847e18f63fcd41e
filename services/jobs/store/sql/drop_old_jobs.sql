CREATE OR REPLACE FUNCTION public.drop_old_jobs(of_prefix text, kept interval)
 RETURNS TABLE(forgotten text, held_by text, behind_seconds double precision)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET lock_timeout TO '20ms'
 SET "TimeZone" TO 'UTC'
AS $function$
DECLARE
    oldest record;
    is_empty boolean;
    made_before timestamptz;
BEGIN
    IF kept < interval '30 days' THEN
        RAISE EXCEPTION 'jobs are kept for 30 days at least';
    END IF;
    IF NOT pg_try_advisory_xact_lock(7266429) THEN
        RETURN;
    END IF;
    FOR oldest IN
        SELECT name, coalesce(low, '') AS low, high, starts_with(low, of_prefix || '_') IS NOT TRUE AS is_first
        FROM job_partitions() WHERE starts_with(high, of_prefix || '_') ORDER BY high COLLATE "C"
    LOOP
        made_before := moment_of(substr(oldest.high, length(of_prefix) + 2));
        EXIT WHEN made_before > now() - kept;
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I)', oldest.name) INTO is_empty;
        CONTINUE WHEN oldest.is_first AND is_empty;
        behind_seconds := extract(epoch FROM now() - kept - made_before);
        held_by := jobs_held_back_by(oldest.name, oldest.low, oldest.high);
        IF held_by IS NOT NULL THEN
            RETURN NEXT;
            CONTINUE;
        END IF;
        EXECUTE format('LOCK TABLE ONLY jobs, ONLY %I IN ACCESS EXCLUSIVE MODE', oldest.name);
        held_by := jobs_held_back_by(oldest.name, oldest.low, oldest.high);
        IF held_by IS NULL THEN
            INSERT INTO forgotten_jobs (low, high, made_before) VALUES (oldest.low, oldest.high, made_before)
            ON CONFLICT DO NOTHING;
            DELETE FROM refunds WHERE job_id >= oldest.low AND job_id < oldest.high
                AND job_id COLLATE "C" >= oldest.low AND job_id COLLATE "C" < oldest.high;
            INSERT INTO audit (actor, action, subject_id, reason, details)
            VALUES ('jobs', 'jobs.forget', oldest.name, 'older than jobs are kept',
                jsonb_build_object('low', oldest.low, 'high', oldest.high));
            EXECUTE format(CASE WHEN oldest.is_first THEN 'TRUNCATE %I' ELSE 'DROP TABLE %I' END, oldest.name);
            forgotten := oldest.name;
        END IF;
        RETURN NEXT;
        RETURN;
    END LOOP;
END $function$;
