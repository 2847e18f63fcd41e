CREATE OR REPLACE FUNCTION public.choose_routes(wanted json)
 RETURNS TABLE(of_job text, chosen integer, chosen_key text, again_at timestamp with time zone, for_routes text[], on_credentials text[])
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
DECLARE
    probe_seconds CONSTANT integer := 60;
    render_probe_seconds CONSTANT integer := 600;
    moment timestamptz;
    payers text[];
    keys text[];
    is_out boolean[];
    room integer[];
    next_at timestamptz[];
    every interval[];
    slack interval[];
    taken boolean[];
    awaited text[] := '{}';
    candidate record;
    payer integer;
BEGIN
    -- Who has a limit is locked until the commit, and only then counted, so limits hold over all workers.
    INSERT INTO credential_states (name)
    SELECT DISTINCT each.credential
    FROM json_to_recordset(wanted) AS item (candidates json)
    CROSS JOIN LATERAL json_to_recordset(item.candidates)
        AS each (credential text, jobs_at_once integer, every_seconds float8)
    WHERE (each.jobs_at_once IS NOT NULL OR each.every_seconds IS NOT NULL)
        AND NOT EXISTS (SELECT FROM credential_states WHERE name = each.credential)
    ORDER BY 1 ON CONFLICT DO NOTHING;
    PERFORM FROM credential_states WHERE name = ANY (ARRAY(
        SELECT each.credential
        FROM json_to_recordset(wanted) AS item (candidates json)
        CROSS JOIN LATERAL json_to_recordset(item.candidates)
            AS each (credential text, jobs_at_once integer, every_seconds float8)
        WHERE each.jobs_at_once IS NOT NULL OR each.every_seconds IS NOT NULL
    )) ORDER BY name FOR UPDATE;
    PERFORM FROM route_states WHERE opened_until IS NOT NULL AND name = ANY (ARRAY(
        SELECT each.route
        FROM json_to_recordset(wanted) AS item (candidates json)
        CROSS JOIN LATERAL json_to_recordset(item.candidates) AS each (route text)
    )) ORDER BY name FOR UPDATE;
    moment := clock_timestamp();
    SELECT array_agg(name), array_agg(key), array_agg(out_key IS NOT NULL AND out_key = key),
        array_agg(coalesce(jobs_at_once - tasks, 2147483647)), array_agg(coalesce(next_request_at, '-infinity')),
        array_agg(make_interval(secs => coalesce(every_seconds, 0))),
        array_agg(make_interval(secs => coalesce(every_seconds * (burst - 1), 0))), array_agg(false)
    INTO payers, keys, is_out, room, next_at, every, slack, taken
    FROM (
        SELECT known.*, state.out_key_name AS out_key, state.next_request_at,
            CASE WHEN state.key_name = ANY (known.key_names) THEN state.key_name ELSE known.key_names[1] END AS key,
            CASE WHEN known.jobs_at_once IS NOT NULL THEN (
                SELECT count(*) FROM (
                    SELECT FROM attempts WHERE attempts.credential = known.name AND outcome IS NULL
                    LIMIT known.jobs_at_once
                ) AS started
            ) + (
                SELECT count(*) FROM (
                    SELECT FROM strays WHERE strays.credential = known.name AND outcome IS NULL
                    LIMIT known.jobs_at_once
                ) AS running
            ) END AS tasks
        FROM (
            SELECT DISTINCT ON (each.credential) each.credential AS name, each.jobs_at_once, each.every_seconds,
                each.burst, ARRAY(SELECT json_array_elements_text(each.keys)) AS key_names
            FROM json_to_recordset(wanted) AS item (candidates json)
            CROSS JOIN LATERAL json_to_recordset(item.candidates)
                AS each (credential text, keys json, jobs_at_once integer, every_seconds float8, burst integer)
            ORDER BY each.credential
        ) AS known
        LEFT JOIN LATERAL (
            SELECT * FROM credential_states WHERE credential_states.name = known.name LIMIT 1
        ) AS state ON true
    ) AS seen;
    -- Whoever waits is before whoever comes.
    IF EXISTS (SELECT FROM work WHERE waits_for IS NOT NULL AND state = 'pending' LIMIT 1) THEN
        WITH RECURSIVE queue AS (
            (
                SELECT waits_for, waits_on FROM work WHERE waits_for IS NOT NULL AND state = 'pending'
                ORDER BY waits_for, waits_on LIMIT 1
            )
            UNION ALL
            SELECT next.* FROM queue CROSS JOIN LATERAL (
                SELECT work.waits_for, work.waits_on FROM work
                WHERE work.waits_for IS NOT NULL AND state = 'pending'
                    AND (work.waits_for, work.waits_on) > (queue.waits_for, queue.waits_on)
                ORDER BY work.waits_for, work.waits_on LIMIT 1
            ) AS next
        )
        SELECT coalesce(array_agg(DISTINCT name), '{}') INTO awaited FROM queue, unnest(waits_on) AS name;
    END IF;
    of_job := NULL;
    FOR candidate IN
        SELECT item.job_id, each.place, each.route, tried.retry_at, array_position(payers, each.credential) AS payer,
            each.credential, (
                SELECT waits_for IS NOT NULL FROM work WHERE work.job_id = item.job_id
            ) AS has_waited,
            coalesce(state.is_disabled OR state.opened_until > moment, false) AS is_closed,
            state.opened_until IS NOT NULL AS is_half_open, state.render_failures
        FROM json_to_recordset(wanted) AS item (job_id text, candidates json)
        CROSS JOIN LATERAL (
            SELECT place, listed ->> 'route' AS route, listed ->> 'credential' AS credential
            FROM json_array_elements(item.candidates) WITH ORDINALITY AS _ (listed, place)
        ) AS each
        LEFT JOIN LATERAL (
            SELECT * FROM route_states WHERE route_states.name = each.route LIMIT 1
        ) AS state ON true
        LEFT JOIN (
            SELECT job_id, route, max(number) AS number, max(retry_at) AS retry_at FROM attempts
            WHERE job_id = ANY (ARRAY(SELECT job_id FROM json_to_recordset(wanted) AS _ (job_id text)))
            GROUP BY job_id, route
        ) AS tried ON tried.job_id = item.job_id AND tried.route = each.route
        ORDER BY item.job_id, tried.number NULLS FIRST, each.place
    LOOP
        IF candidate.job_id IS DISTINCT FROM of_job THEN
            IF of_job IS NOT NULL THEN
                RETURN NEXT;
            END IF;
            of_job := candidate.job_id;
            chosen := NULL;
            chosen_key := NULL;
            again_at := NULL;
            for_routes := '{}';
            on_credentials := '{}';
        END IF;
        CONTINUE WHEN chosen IS NOT NULL;
        IF candidate.retry_at > moment THEN
            again_at := least(again_at, candidate.retry_at);
            CONTINUE;
        END IF;
        for_routes := for_routes || candidate.route;
        on_credentials := on_credentials || candidate.credential;
        payer := candidate.payer;
        CONTINUE WHEN candidate.is_closed OR is_out[payer] OR room[payer] <= 0 OR next_at[payer] > moment + slack[payer]
            OR (candidate.credential = ANY (awaited) AND NOT candidate.has_waited);
        IF candidate.is_half_open THEN
            UPDATE route_states SET probe_until = moment + make_interval(
                secs => CASE WHEN render_failures > 0 THEN render_probe_seconds ELSE probe_seconds END
            )
            WHERE name = candidate.route AND (probe_until IS NULL OR probe_until <= moment);
            CONTINUE WHEN NOT FOUND;
        END IF;
        chosen := candidate.place;
        chosen_key := keys[payer];
        room[payer] := room[payer] - 1;
        next_at[payer] := greatest(next_at[payer], moment) + every[payer];
        taken[payer] := every[payer] > interval '0';
    END LOOP;
    IF of_job IS NOT NULL THEN
        RETURN NEXT;
    END IF;
    UPDATE credential_states SET next_request_at = moved.next_at
    FROM unnest(payers, next_at, taken) AS moved (name, next_at, is_taken)
    WHERE is_taken AND credential_states.name = moved.name;
END $function$;
