"""What moves of jobs tell about their routes and credentials, as parts of the statements that make them.

Most moves tell nothing new and lock none of these rows: a route that works is not written.
"""

from sqlalchemy import text

from services.common.postgres.database import Query
from services.jobs.store.lock_order import once_locked

FAILURES_MAX = 5
"""A route that failed so often in a row is left alone."""
OPEN_SECONDS_FIRST = 30
OPEN_SECONDS_MAX = 600

BLAME_COLUMNS = """route text, credential text, key_name text, failure_class text, blames text, takes_out boolean,
            pause_seconds float8"""
"""Of an item. `blames` is what failed: an `order`, a `render`, the whole `route`; or null, and the route is not at fault."""

_IS_OPEN = "coalesce(known.opened_until > now(), false)"
# In doubt after it was open, one failure is enough.
_OPENS = f"""(NOT {_IS_OPEN} AND (
                known.opened_until IS NOT NULL OR excluded.opened_until IS NOT NULL
                OR known.failures + excluded.failures >= {FAILURES_MAX}
                OR known.render_failures + excluded.render_failures >= {FAILURES_MAX}
            ))"""
# A key that an operator has replaced meanwhile takes nothing out.
_IS_NEWS = """(excluded.out_key_name IS NOT NULL AND known.out_key_name IS DISTINCT FROM excluded.out_key_name
                AND coalesce(known.key_name, excluded.out_key_name) = excluded.out_key_name)"""
TAKE_OUT = Query(
    text(f"""
    INSERT INTO credential_states AS known (name, out_key_name, out_reason, out_since)
    VALUES (:name, :key_name, :reason, now())
    ON CONFLICT (name) DO UPDATE SET
        out_key_name = excluded.out_key_name, out_reason = excluded.out_reason, out_since = excluded.out_since
    WHERE {_IS_NEWS}
    RETURNING name
    """)  # noqa: S608
)


def blamed(moved: str, *, after: str) -> str:
    """Returns the parts that put on record what failed in the moves of another part, once a third one is through.

    A route opens after FAILURES_MAX failures in a row, or at once if it is blamed as a whole, for twice as long each time.
    What comes of orders from before it opened changes nothing. The last part is `blamed`.
    """
    return f"""taken_out AS (
        INSERT INTO credential_states AS known (name, out_key_name, out_reason, out_since, next_request_at)
        SELECT DISTINCT ON (credential) credential, CASE WHEN takes_out THEN key_name END,
            CASE WHEN takes_out THEN failure_class END, CASE WHEN takes_out THEN now() END,
            CASE WHEN pause_seconds > 0 THEN now() + make_interval(secs => pause_seconds) ELSE '-infinity' END
        FROM {moved} WHERE credential <> '' AND (takes_out OR pause_seconds > 0) AND {once_locked(after)}
        ORDER BY credential, takes_out DESC, pause_seconds DESC
        ON CONFLICT (name) DO UPDATE SET
            next_request_at = greatest(known.next_request_at, excluded.next_request_at),
            out_key_name = CASE WHEN {_IS_NEWS} THEN excluded.out_key_name ELSE known.out_key_name END,
            out_reason = CASE WHEN {_IS_NEWS} THEN excluded.out_reason ELSE known.out_reason END,
            out_since = CASE WHEN {_IS_NEWS} THEN excluded.out_since ELSE known.out_since END
        RETURNING name
    ), blamed AS (
        INSERT INTO route_states AS known (name, failures, render_failures, openings, opened_until, last_error_class,
            last_error_at)
        SELECT route, failures, render_failures, CAST(is_opened AS integer),
            CASE WHEN is_opened THEN now() + interval '{OPEN_SECONDS_FIRST} s' END, failure_class, now()
        FROM (
            SELECT route, count(*) FILTER (WHERE blames <> 'render') AS failures,
                count(*) FILTER (WHERE blames = 'render') AS render_failures, max(failure_class) AS failure_class,
                bool_or(blames = 'route') OR count(*) >= {FAILURES_MAX} AS is_opened
            FROM {moved} WHERE blames IS NOT NULL AND {once_locked("taken_out")} GROUP BY route
        ) AS failed
        ORDER BY route
        ON CONFLICT (name) DO UPDATE SET
            failures = known.failures + excluded.failures,
            render_failures = known.render_failures + excluded.render_failures,
            openings = known.openings + CAST({_OPENS} AS integer),
            opened_until = CASE WHEN {_OPENS} THEN now() + make_interval(
                secs => least({OPEN_SECONDS_FIRST} * 2 ^ least(known.openings, 10), {OPEN_SECONDS_MAX})
            ) ELSE known.opened_until END,
            probe_until = CASE WHEN {_IS_OPEN} THEN known.probe_until END,
            last_error_class = excluded.last_error_class, last_error_at = excluded.last_error_at
        RETURNING name
    )"""  # noqa: S608


def answered(moved: str, *, after: str, condition: str = "true", renders: bool = False) -> str:
    """Returns the parts that trust those routes of another part again which had failed, once a third one is through.

    That a route took an order is no proof that it renders: `renders` says that it did. The last part is `answered`.
    """
    is_trusted = "true" if renders else f"render_failures < {FAILURES_MAX}"
    return f"""doubted AS MATERIALIZED (
        SELECT name FROM route_states
        WHERE name = ANY (ARRAY(SELECT route FROM {moved} WHERE {condition})) AND {once_locked(after)}
            AND (failures > 0 OR opened_until IS NOT NULL {"OR render_failures > 0" if renders else ""})
        ORDER BY name FOR UPDATE
    ), answered AS (
        UPDATE route_states SET failures = 0, render_failures = {"0" if renders else "render_failures"},
            openings = CASE WHEN {is_trusted} THEN 0 ELSE openings END,
            opened_until = CASE WHEN {is_trusted} THEN NULL ELSE opened_until END,
            probe_until = CASE WHEN {is_trusted} THEN NULL ELSE probe_until END
        FROM doubted WHERE route_states.name = doubted.name
        RETURNING route_states.name
    )"""  # noqa: S608


BLAME = Query(
    text(f"""
    WITH moved AS MATERIALIZED (
        SELECT CAST(:route AS text) AS route, '' AS credential, '' AS key_name,
            CAST(:failure_class AS text) AS failure_class, CAST(:blames AS text) AS blames, false AS takes_out,
            CAST(0 AS float8) AS pause_seconds
    ), {blamed("moved", after="moved")}
    SELECT name FROM blamed
    """)  # noqa: S608
)
"""Of a job that was given up, so that no move tells it."""
