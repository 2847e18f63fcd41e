CREATE OR REPLACE FUNCTION public.jobs_held_back_by(partition text, low text, high text)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
AS $function$
DECLARE
    held_by text;
BEGIN
    EXECUTE format($check$
        SELECT CASE
            WHEN EXISTS (SELECT FROM %1$I WHERE status IN ('pending', 'processing')) THEN 'unfinished jobs'
            WHEN EXISTS (SELECT FROM refunds WHERE applied_at IS NULL AND %2$s) THEN 'refunds that are not made'
            WHEN EXISTS (SELECT FROM outbox WHERE %2$s) THEN 'events that are not handed over'
            WHEN EXISTS (SELECT FROM strays WHERE outcome IS NULL AND %2$s) THEN 'tasks at providers'
            WHEN EXISTS (SELECT FROM %1$I WHERE ended_at IS NOT NULL AND content_deleted_at IS NULL) THEN 'content'
            WHEN EXISTS (
                SELECT FROM %1$I WHERE ended_at IS NOT NULL AND video_url IS NOT NULL AND media_deleted_at IS NULL
            ) THEN 'media'
        END
    $check$, partition, format('job_id COLLATE "C" >= %L AND job_id COLLATE "C" < %L', low, high)) INTO held_by;
    RETURN held_by;
END $function$;
