"""Which route renders a job, in SQL: the first that it prefers and that has room, exactly over all workers.

What a credential may take is counted, and its pace kept, under a lock of its row that lasts until the commit
(`store/sql/choose_routes.sql`). A job for which nothing has room waits for its routes, and no worker claims it: `CALL_UP`
makes as many due as there is room for, and accounts take turns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from services.common.postgres.database import Query
from services.jobs.domain.claims import Candidate
from services.jobs.domain.routes import Credential
from services.jobs.store.queue.claims import ATTEMPT_COLUMNS, GOT_ON
from services.jobs.store.queue.items import IS_HELD, held
from services.jobs.timing import PARKED_SECONDS

IS_PARKED = "waits_for IS NOT NULL AND state = 'pending'"
"""Of a work row. Written as in the index of jobs that wait for a route."""
ACCOUNTS_MAX = 200
"""That are called in one turn; the next goes on where it ended."""
JOBS_EACH = 50
"""Of an account in one turn, at the most."""

OPEN_ATTEMPT = Query(
    text(f"""
    WITH {held("candidates json, token text, lease_seconds float8", states="'pending'")},
    placed AS MATERIALIZED (
        SELECT * FROM choose_routes((
            SELECT coalesce(json_agg(json_build_object('job_id', job_id, 'candidates', candidates)), '[]') FROM held
        ))
    ), begun AS MATERIALIZED (
        SELECT held.*, candidates -> (chosen - 1) AS candidate, chosen_key, chosen IS NULL AS must_wait, again_at,
            ARRAY(SELECT DISTINCT unnest(for_routes) ORDER BY 1) AS awaited,
            ARRAY(SELECT DISTINCT unnest(on_credentials) ORDER BY 1) AS payers
        FROM held JOIN placed ON of_job = held.job_id
    ), moved AS (
        UPDATE work SET {GOT_ON},
            state = CASE WHEN must_wait THEN 'pending' ELSE 'submitting' END,
            state_since = CASE WHEN must_wait THEN state_since ELSE now() END,
            waits_for = CASE WHEN must_wait THEN nullif(awaited, '{{}}') END,
            waits_on = CASE WHEN must_wait THEN nullif(payers, '{{}}') END,
            due_at = CASE WHEN must_wait THEN least(again_at, now() + interval '{PARKED_SECONDS} s')
                ELSE least(due_at, now()) END,
            lease_until = CASE WHEN must_wait THEN '-infinity'
                ELSE greatest(lease_until, now() + make_interval(secs => lease_seconds)) END
        FROM begun AS held WHERE {IS_HELD}
        RETURNING held.*
    ), next AS MATERIALIZED (
        SELECT moved.*, (
            SELECT coalesce(max(number), 0) + 1 FROM attempts WHERE attempts.job_id = moved.job_id
        ) AS number
        FROM moved WHERE NOT must_wait
    ), opened AS (
        INSERT INTO attempts (id, job_id, number, token, lease_no, route, provider, upstream_model, credential, key_name,
            quoted_micros)
        SELECT job_id || '-' || number, job_id, number, token, lease_no, candidate ->> 'route',
            candidate ->> 'provider', candidate ->> 'upstream_model', candidate ->> 'credential', chosen_key,
            CAST(candidate ->> 'quoted_micros' AS bigint)
        FROM next
        RETURNING {", ".join(ATTEMPT_COLUMNS)}
    )
    SELECT moved.job_id, moved.lease_no, must_wait,
        {", ".join(f"opened.{name}" for name in ATTEMPT_COLUMNS if name not in {"job_id", "lease_no"})}
    FROM moved LEFT JOIN opened ON opened.job_id = moved.job_id
    """)  # noqa: S608
)

# A credential without a limit has room for all. One that is called waits for nothing any more, but is still before others.
CALL_UP = Query(
    text(f"""
    WITH RECURSIVE queue AS (
        (
            SELECT waits_for, waits_on FROM work WHERE {IS_PARKED} AND waits_for > '{{}}'
            ORDER BY waits_for, waits_on LIMIT 1
        )
        UNION ALL
        SELECT next.* FROM queue CROSS JOIN LATERAL (
            SELECT work.waits_for, work.waits_on FROM work
            WHERE {IS_PARKED} AND (work.waits_for, work.waits_on) > (queue.waits_for, queue.waits_on)
            ORDER BY work.waits_for, work.waits_on LIMIT 1
        ) AS next
    ), payer AS MATERIALIZED (
        SELECT known.name, known.routes, CASE
            WHEN out_key_name = CASE WHEN state.key_name = ANY (keys) THEN state.key_name ELSE keys[1] END THEN 0
            WHEN next_request_at > now() + make_interval(secs => every_seconds * (burst - 1)) THEN 0
            ELSE least(CAST(:most AS bigint), coalesce(jobs_at_once - (
                SELECT count(*) FROM (
                    SELECT FROM attempts WHERE attempts.credential = known.name AND outcome IS NULL LIMIT jobs_at_once
                ) AS started
            ) - (
                SELECT count(*) FROM (
                    SELECT FROM strays WHERE strays.credential = known.name AND outcome IS NULL LIMIT jobs_at_once
                ) AS running
            ), CAST(:most AS bigint)), CASE WHEN every_seconds > 0 THEN burst ELSE CAST(:most AS bigint) END)
        END AS room
        FROM (
            SELECT name, jobs_at_once, coalesce(every_seconds, 0) AS every_seconds, coalesce(burst, 1) AS burst,
                ARRAY(SELECT json_array_elements_text(each.keys)) AS keys,
                ARRAY(SELECT json_array_elements_text(each.routes)) AS routes
            FROM json_to_recordset(CAST(:credentials AS json))
                AS each (name text, routes json, keys json, jobs_at_once int, every_seconds float8, burst int)
            WHERE (SELECT true FROM queue LIMIT 1)
        ) AS known
        LEFT JOIN credential_states AS state ON state.name = known.name
    ), called AS MATERIALIZED (
        SELECT waits_on AS payers, count(*) AS jobs FROM work WHERE {IS_PARKED} AND waits_for = '{{}}' GROUP BY waits_on
    ), room AS MATERIALIZED (
        SELECT waits_for, waits_on, coalesce(sum(free), 0) - (
            SELECT coalesce(sum(jobs), 0) FROM called WHERE payers && waits_on
        ) AS jobs
        FROM queue CROSS JOIN LATERAL (
            SELECT max(CASE WHEN state.is_disabled OR state.opened_until > now() THEN 0
                WHEN state.opened_until IS NOT NULL THEN least(room, 1) ELSE room END) AS free
            FROM unnest(waits_for) AS way (route)
            JOIN payer ON way.route = ANY (payer.routes)
            LEFT JOIN route_states AS state ON state.name = way.route
            GROUP BY payer.name
        ) AS ways
        GROUP BY waits_for, waits_on
    ), turns AS (
        SELECT room.waits_for, room.waits_on, jobs, first.environment, first.account_id, 1 AS number
        FROM room CROSS JOIN LATERAL (
            SELECT environment, account_id FROM work
            WHERE {IS_PARKED} AND work.waits_for = room.waits_for AND work.waits_on = room.waits_on
                AND (work.environment, work.account_id) > (:after_environment, :after_account)
            ORDER BY environment, account_id LIMIT 1
        ) AS first
        WHERE jobs > 0
        UNION ALL
        SELECT turns.waits_for, turns.waits_on, jobs, next.environment, next.account_id, number + 1
        FROM turns CROSS JOIN LATERAL (
            SELECT environment, account_id FROM work
            WHERE {IS_PARKED} AND work.waits_for = turns.waits_for AND work.waits_on = turns.waits_on
                AND (work.environment, work.account_id) > (turns.environment, turns.account_id)
            ORDER BY environment, account_id LIMIT 1
        ) AS next
        WHERE number < {ACCOUNTS_MAX}
    ), longest AS (
        SELECT first.job_id, turns.waits_on, jobs, turns.environment, admitted_at, row_number() OVER (
            PARTITION BY turns.waits_on, turns.environment, turns.account_id ORDER BY admitted_at, first.job_id
        ) AS turn
        FROM turns CROSS JOIN LATERAL (
            SELECT job_id, admitted_at FROM work
            WHERE {IS_PARKED} AND work.waits_for = turns.waits_for AND work.waits_on = turns.waits_on
                AND work.environment = turns.environment AND work.account_id = turns.account_id
            ORDER BY admitted_at LIMIT least(jobs, {JOBS_EACH})
        ) AS first
    ), chosen AS MATERIALIZED (
        SELECT job_id FROM (
            SELECT job_id, jobs, row_number() OVER (
                PARTITION BY waits_on ORDER BY turn, environment, admitted_at, job_id
            ) AS place
            FROM longest
        ) AS placed
        WHERE place <= jobs
    ), locked AS MATERIALIZED (
        SELECT job_id FROM work
        WHERE job_id = ANY (ARRAY(SELECT job_id FROM chosen)) AND {IS_PARKED} AND waits_for > '{{}}'
        ORDER BY job_id FOR NO KEY UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE work SET waits_for = '{{}}', due_at = now(), claim_count = 0
        WHERE job_id = ANY (ARRAY(SELECT job_id FROM locked))
        RETURNING work.job_id
    )
    SELECT (SELECT count(*) FROM moved) AS called, last.environment AS turn_environment, last.account_id AS turn_account
    FROM (SELECT true) AS one
    LEFT JOIN (
        SELECT environment, account_id FROM turns WHERE number = {ACCOUNTS_MAX}
        ORDER BY environment, account_id LIMIT 1
    ) AS last ON true
    """)  # noqa: S608
)


def candidate_items(candidates: Sequence[Candidate]) -> list[Mapping[str, Any]]:
    """Returns candidates as OPEN_ATTEMPT reads them."""
    return [
        {
            "route": each.route,
            "provider": each.provider,
            "upstream_model": each.upstream_model,
            "credential": each.credential,
            "quoted_micros": each.quoted_micros,
            **limits(each.keys, each.jobs_at_once, each.requests_per_minute),
        }
        for each in candidates
    ]


def credential_items(
    credentials: Sequence[Credential], credential_by_route: Mapping[str, str]
) -> list[Mapping[str, Any]]:
    """Returns credentials, and which routes they pay for, as CALL_UP reads them."""
    return [
        {
            "name": each.name,
            "routes": [route for route, name in credential_by_route.items() if name == each.name],
            **limits(each.keys, each.jobs_at_once, each.requests_per_minute),
        }
        for each in credentials
    ]


def limits(
    keys: Sequence[str], jobs_at_once: int | None, requests_per_minute: int | None
) -> Mapping[str, Any]:
    """Returns what a credential allows. Requests of two seconds may come at once; no minute has more than it may."""
    every_seconds, burst = None, None
    if requests_per_minute is not None:
        burst = max(1, requests_per_minute // 30)
        every_seconds = 60 / (requests_per_minute - burst + 1)
    return {
        "keys": list(keys),
        "jobs_at_once": jobs_at_once,
        "every_seconds": every_seconds,
        "burst": burst,
    }
