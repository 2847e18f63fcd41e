"""How far jobs are, in SQL: one statement for everybody who waits for some."""

from collections.abc import Mapping, Sequence

from sqlalchemy import text
from typing_extensions import override

from services.common.postgres.batching import answer_apart, succeeded
from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.job import Job
from services.jobs.ports import Stages
from services.jobs.store.partitions import job_of
from services.jobs.store.rows import JOB_COLUMNS, job_from_row

# The stage is what `stage` of the domain says.
MOVED = Query(
    text(f"""
    SELECT {", ".join(f"jobs.{column.name}" for column in JOB_COLUMNS)}
    FROM unnest(CAST(:ids AS text[]), CAST(:stages AS int[])) AS known (id, stage)
    CROSS JOIN LATERAL {job_of("known.id")} AS jobs
    WHERE known.stage < CASE
        WHEN ended_at IS NOT NULL THEN 3 WHEN started_at IS NOT NULL THEN 2 WHEN status = 'pending' THEN 0 ELSE 1
    END
    """)  # noqa: S608
)


class SqlStages(Stages):
    """Stages on PostgreSQL. A job that cannot be read does not fail the others."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @override
    async def moved(self, known: Mapping[str, int]) -> list[Job]:
        found = await answer_apart(
            self._moved, list(known.items()), name="moved_jobs", name_of=lambda each: each[0]
        )
        return [job for job in succeeded(found) if job is not None]

    async def _moved(self, known: Sequence[tuple[str, int]]) -> Sequence[Job | None]:
        rows = await fetch(
            self._pool,
            MOVED,
            ids=[job_id for job_id, _ in known],
            stages=[stage for _, stage in known],
        )
        found = {row["id"]: job_from_row(row) for row in rows}
        return [found.get(job_id) for job_id, _ in known]
