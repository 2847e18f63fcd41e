"""How routes and credentials do, and what operators change about them, in SQL: one statement each, its audit entry included."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from services.common.audit.note import AuditNote
from services.common.postgres.database import Pool, Query, fetch
from services.jobs.store.queue.placing import IS_PARKED

RECENT_SECONDS = 3600
RECENT_MAX = 1_000
"""Attempts of a route by which it is judged."""
IN_FLIGHT_MAX = 100_000
WAITING_MAX = 10_000
"""As far as they are counted."""
NOT_JUDGED = ("content", "parameters", "input_media", "late", "cancelled")
"""Why attempts ended that say nothing about their route."""

DISABLE_ACTION, ENABLE_ACTION = "route.disable", "route.enable"
ROTATE_ACTION, PUT_BACK_ACTION = "credential.rotate", "credential.enable"


@dataclass(frozen=True, kw_only=True)
class RouteReading:
    """How a route does, by its attempts of the last hour."""

    name: str
    is_disabled: bool
    is_open: bool
    is_half_open: bool
    opened_until: datetime | None
    in_flight: int
    waiting: int
    judged: int
    succeeded: int
    submit_p50_seconds: float | None
    submit_p95_seconds: float | None
    render_p50_seconds: float | None
    render_p95_seconds: float | None
    last_error_class: str | None
    last_error_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class CredentialReading:
    """What is known of a credential."""

    name: str
    key_name: str | None
    out_key_name: str | None
    out_reason: str | None
    out_since: datetime | None
    in_flight: int


@dataclass(frozen=True, kw_only=True)
class AttemptRecord:
    """One attempt at a job, as operators see it."""

    id: str
    number: int
    route: str
    provider: str
    credential: str
    key_name: str
    upstream_model: str
    task_id: str | None
    outcome: str | None
    failure_class: str | None
    detail: str | None
    opened_at: datetime
    submitted_at: datetime | None
    rendered_at: datetime | None
    closed_at: datetime | None
    cost_micros: int | None


_ROUTES = Query(
    text(f"""
    SELECT known.name, coalesce(is_disabled, false) AS is_disabled, coalesce(opened_until > now(), false) AS is_open,
        coalesce(opened_until <= now(), false) AS is_half_open, opened_until, last_error_class, last_error_at,
        in_flight, waiting, recent.*
    FROM unnest(CAST(:names AS text[]), CAST(:credentials AS text[])) AS known (name, credential)
    LEFT JOIN route_states ON route_states.name = known.name
    CROSS JOIN LATERAL (
        SELECT count(*) AS in_flight FROM (
            SELECT FROM attempts
            WHERE attempts.credential = known.credential AND attempts.route = known.name AND outcome IS NULL
            LIMIT {IN_FLIGHT_MAX}
        ) AS open
    ) AS flight
    CROSS JOIN LATERAL (
        SELECT count(*) AS waiting FROM (
            SELECT FROM work WHERE {IS_PARKED} AND known.name = ANY (waits_for) LIMIT {WAITING_MAX}
        ) AS parked
    ) AS queue
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE outcome IS NOT NULL AND coalesce(failure_class, '') <> ALL (:not_judged)) AS judged,
            count(*) FILTER (WHERE outcome = 'succeeded') AS succeeded,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY submit) AS submit_p50_seconds,
            percentile_cont(0.95) WITHIN GROUP (ORDER BY submit) AS submit_p95_seconds,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY render) AS render_p50_seconds,
            percentile_cont(0.95) WITHIN GROUP (ORDER BY render) AS render_p95_seconds
        FROM (
            SELECT outcome, failure_class, CAST(extract(epoch FROM submitted_at - opened_at) AS float8) AS submit,
                CAST(extract(epoch FROM rendered_at - submitted_at) AS float8) AS render
            FROM attempts
            WHERE attempts.route = known.name AND opened_at > now() - interval '{RECENT_SECONDS} s'
            ORDER BY opened_at DESC LIMIT {RECENT_MAX}
        ) AS latest
    ) AS recent
    ORDER BY known.name
    """)  # noqa: S608
)

_CREDENTIALS = Query(
    text(f"""
    SELECT known.name, key_name, out_key_name, out_reason, out_since, (
        SELECT count(*) FROM (
            SELECT FROM attempts WHERE attempts.credential = known.name AND outcome IS NULL LIMIT {IN_FLIGHT_MAX}
        ) AS open
    ) AS in_flight
    FROM unnest(CAST(:names AS text[])) AS known (name)
    LEFT JOIN credential_states ON credential_states.name = known.name
    ORDER BY known.name
    """)  # noqa: S608
)

_AUDIT = """noted AS (
        INSERT INTO audit (actor, action, subject_id, reason, details)
        VALUES (:actor, :action, :name, :reason, {})
        RETURNING subject_id
    )"""

_DISABLE = Query(
    text(f"""
    WITH {_AUDIT.format("'{}'")}
    INSERT INTO route_states (name, is_disabled) SELECT subject_id, true FROM noted
    ON CONFLICT (name) DO UPDATE SET is_disabled = true
    """)  # noqa: S608
)
_ENABLE = Query(
    text(f"""
    WITH {_AUDIT.format("'{}'")}
    INSERT INTO route_states (name) SELECT subject_id FROM noted
    ON CONFLICT (name) DO UPDATE SET is_disabled = false, failures = 0, render_failures = 0, openings = 0,
        opened_until = NULL, probe_until = NULL
    """)  # noqa: S608
)
_ROTATE = Query(
    text(f"""
    WITH {_AUDIT.format("jsonb_build_object('key', CAST(:key_name AS text))")}
    INSERT INTO credential_states (name, key_name) SELECT subject_id, :key_name FROM noted
    ON CONFLICT (name) DO UPDATE SET key_name = excluded.key_name,
        out_key_name = NULL, out_reason = NULL, out_since = NULL
    """)  # noqa: S608
)
_PUT_BACK = Query(
    text(f"""
    WITH {_AUDIT.format("'{}'")}
    INSERT INTO credential_states (name) SELECT subject_id FROM noted
    ON CONFLICT (name) DO UPDATE SET out_key_name = NULL, out_reason = NULL, out_since = NULL
    """)  # noqa: S608
)
_ATTEMPTS = Query(
    text("""
    SELECT id, number, route, provider, credential, key_name, upstream_model, coalesce(task_id, claimed_task_id) AS task_id,
        outcome, failure_class, detail, opened_at, submitted_at, rendered_at, closed_at, cost_micros
    FROM attempts WHERE job_id = :job_id ORDER BY number DESC LIMIT :most
    """)
)


class SqlRoutes:
    """How routes and credentials do. Every change leaves an audit entry in the same commit."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def routes(self, credential_by_route: dict[str, str]) -> list[RouteReading]:
        """Returns how these routes do, by name."""
        rows = await fetch(
            self._pool,
            _ROUTES,
            names=list(credential_by_route),
            credentials=list(credential_by_route.values()),
            not_judged=list(NOT_JUDGED),
        )
        return [RouteReading(**row) for row in rows]

    async def credentials(self, names: Sequence[str]) -> list[CredentialReading]:
        """Returns what is known of these credentials, by name."""
        return [CredentialReading(**row) for row in await fetch(self._pool, _CREDENTIALS, names=list(names))]

    async def disable(self, name: str, *, note: AuditNote) -> None:
        """Gives a route no new jobs."""
        await self._change(_DISABLE, name, DISABLE_ACTION, note)

    async def enable(self, name: str, *, note: AuditNote) -> None:
        """Gives a route jobs again, as one that never failed."""
        await self._change(_ENABLE, name, ENABLE_ACTION, note)

    async def rotate(self, name: str, key_name: str, *, note: AuditNote) -> None:
        """Has new tasks ordered with a key of a credential."""
        await self._change(_ROTATE, name, ROTATE_ACTION, note, key_name=key_name)

    async def put_back(self, name: str, *, note: AuditNote) -> None:
        """Puts a credential back into use."""
        await self._change(_PUT_BACK, name, PUT_BACK_ACTION, note)

    async def attempts(self, job_id: str, *, limit: int) -> list[AttemptRecord]:
        """Returns the last attempts at a job, the last first."""
        rows = await fetch(self._pool, _ATTEMPTS, job_id=job_id, most=limit)
        return [AttemptRecord(**row) for row in rows]

    async def _change(self, query: Query, name: str, action: str, note: AuditNote, **values: str) -> None:
        async with self._pool.connection() as connection:
            bound = query.bind(name=name, action=action, **values, **vars(note))
            await connection.execute(query.sql, bound)
