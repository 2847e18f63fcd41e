"""Which attempt a callback is for."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from services.common.postgres.batching import Batcher
from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.claims import Attempt
from services.jobs.store.partitions import is_one, job_of
from services.jobs.store.queue.claims import ATTEMPT_COLUMNS
from services.jobs.store.queue.moving import JOBS_PER_BATCH_MAX


@dataclass(frozen=True, kw_only=True)
class Called:
    """An attempt that a callback is for, whatever has become of it."""

    attempt: Attempt
    environment: str


_FIND = Query(
    text(f"""
    SELECT {", ".join(f"attempts.{name}" for name in ATTEMPT_COLUMNS)}, job.environment
    FROM unnest(CAST(:tokens AS text[])) AS call (token)
    JOIN attempts ON {is_one("attempts.token", "call.token")}
    CROSS JOIN LATERAL {job_of("attempts.job_id")} AS job
    """)  # noqa: S608
)


class SqlCalled:
    """Attempts, as callbacks name them. Callbacks that come together share a statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._calls = Batcher(self._find, items_max=JOBS_PER_BATCH_MAX, name="find_called", name_of=_unnamed)

    async def find(self, token: str) -> Called | None:
        """Returns the attempt with a token, if there is one."""
        return await self._calls.submit(token)

    async def _find(self, tokens: Sequence[str]) -> Sequence[Called | None]:
        rows = await fetch(self._pool, _FIND, tokens=list(set(tokens)))
        found = {
            row["token"]: Called(
                attempt=Attempt(**{name: row[name] for name in ATTEMPT_COLUMNS}),
                environment=row["environment"],
            )
            for row in rows
        }
        return [found.get(token) for token in tokens]


def _unnamed(_token: str) -> str:
    return "a callback"  # its token is a secret
