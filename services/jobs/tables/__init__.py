"""The tables of the jobs database. Times are the database clock's; amounts are micro-credits."""

from services.jobs.tables.base import metadata
from services.jobs.tables.books import margin_changes, margins_daily, refunds, usage_daily, usage_hourly
from services.jobs.tables.requests import idempotency, outbox, uploads
from services.jobs.tables.retention import deletions, forgotten_jobs, kept_days
from services.jobs.tables.routes import attempts, credential_states, route_states, strays
from services.jobs.tables.work import caps, jobs, place_changes, places, work

__all__ = [
    "attempts",
    "caps",
    "credential_states",
    "deletions",
    "forgotten_jobs",
    "idempotency",
    "jobs",
    "kept_days",
    "margin_changes",
    "margins_daily",
    "metadata",
    "outbox",
    "place_changes",
    "places",
    "refunds",
    "route_states",
    "strays",
    "uploads",
    "usage_daily",
    "usage_hourly",
    "work",
]
