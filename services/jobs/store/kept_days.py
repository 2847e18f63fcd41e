"""For how long things of single accounts are kept, in SQL."""

from collections.abc import Sequence

from sqlalchemy import text

from services.common.audit.note import AuditNote
from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.retention import OwnDays

KEEP_ACTION = "account.retention"
"""What audit entries call it."""

_OF = Query(
    text("""
    SELECT account_id, media_days, content_days FROM kept_days
    WHERE account_id = ANY (CAST(:account_ids AS text[]))
    """)
)
_SET = Query(
    text("""
    WITH kept AS (
        INSERT INTO kept_days AS known (account_id, media_days, content_days)
        VALUES (:account_id, :media_days, :content_days)
        ON CONFLICT (account_id) DO UPDATE SET
            media_days = excluded.media_days, content_days = excluded.content_days
        RETURNING *
    ), noted AS (
        INSERT INTO audit (actor, action, subject_id, reason, details)
        SELECT :actor, :action, account_id, :reason,
            jsonb_build_object('media_days', media_days, 'content_days', content_days)
        FROM kept
    )
    SELECT account_id FROM kept
    """)
)


class SqlKeptDays:
    """For how long things of single accounts are kept, as operators chose."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of(self, account_ids: Sequence[str]) -> dict[str, OwnDays]:
        """Returns the days of those of these accounts for which an operator chose any."""
        rows = await fetch(self._pool, _OF, account_ids=list(account_ids))
        return {
            row["account_id"]: OwnDays(media_days=row["media_days"], content_days=row["content_days"])
            for row in rows
        }

    async def choose(self, account_id: str, days: OwnDays, *, note: AuditNote) -> None:
        """Replaces the days of an account, with an audit entry in the same commit."""
        await fetch(
            self._pool,
            _SET,
            account_id=account_id,
            media_days=days.media_days,
            content_days=days.content_days,
            action=KEEP_ACTION,
            **vars(note),
        )
