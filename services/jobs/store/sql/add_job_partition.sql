CREATE OR REPLACE FUNCTION public.add_job_partition(of_prefix text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET lock_timeout TO '20ms'
 SET "TimeZone" TO 'UTC'
AS $function$
DECLARE
    months_ahead CONSTANT integer := 3;
    last record;
    newest text;
    month timestamptz;
    bound text;
    added text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7266429) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO last FROM job_partitions()
    WHERE starts_with(low, of_prefix || '_') ORDER BY low COLLATE "C" DESC LIMIT 1;
    month := moment_of(substr(last.low, length(of_prefix) + 2));
    IF last.low IS NULL OR month > date_trunc('month', now()) + make_interval(months => months_ahead) THEN
        RETURN NULL;
    END IF;
    LOCK TABLE ONLY jobs IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('SELECT max(id COLLATE "C") FROM %I', last.name) INTO newest;
    FOR ahead IN 1 .. 1200 LOOP
        bound := of_prefix || '_' || ulid_at(month + make_interval(months => ahead));
        EXIT WHEN newest IS NULL OR newest < bound COLLATE "C";
    END LOOP;
    added := format('jobs_%s_%s', of_prefix, to_char(moment_of(substr(bound, length(of_prefix) + 2)), 'YYYY_MM'));
    EXECUTE format('ALTER TABLE jobs DETACH PARTITION %I', last.name);
    EXECUTE format('ALTER TABLE jobs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', last.name, last.low, bound);
    EXECUTE format(
        'CREATE TABLE %I PARTITION OF jobs (PRIMARY KEY (id)) FOR VALUES FROM (%L) TO (%s) WITH (fillfactor = 85)',
        added, bound, coalesce(quote_literal(last.high), 'MAXVALUE')
    );
    RETURN added;
END $function$;
