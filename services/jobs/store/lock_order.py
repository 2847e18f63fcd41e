"""Who locks what first: one order for every statement of this database, so that two may wait but never in a circle.

A transaction locks rows in the order of LOCK_ORDER: of a job its `work` row first, which is what its workers, callbacks,
customers and operators compete for; then its `attempts`; then the row in `jobs`; then the other tables by name. Rows of
one table are locked in the order of their primary key, or with SKIP LOCKED, which waits for nobody. The places of an
account are decided under an advisory lock (`admission/waiting.py`), which comes before every row. What triggers on `work`
keep count in comes last, because a trigger runs when all parts of its statement have.

A statement that finds no `work` row, because the job has ended, goes on with the next table of the order.
New rows whose id nobody else can have (a job and its work, an attempt, an audit entry, a change of a count or an amount) are in
nobody's way and may be written at any time. In what order PostgreSQL runs the parts of a statement is its own affair
unless one reads another: `once_locked` makes it certain.
"""

LOCK_ORDER = (
    "work", "attempts", "jobs",
    "audit", "caps", "credential_states", "deletions", "forgotten_jobs", "idempotency", "kept_days", "margin_changes",
    "margins_daily", "outbox", "refunds", "route_states", "strays", "uploads", "usage_daily", "usage_hourly",
    "place_changes", "places",
)  # fmt: skip


def once_locked(part: str) -> str:
    """Returns a condition that always holds, and for which another part of the statement is run to its end before."""
    return f"(SELECT count(*) FROM {part}) IS NOT NULL"  # noqa: S608
