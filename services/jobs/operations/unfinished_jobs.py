"""What operators do with jobs that have not ended."""

from collections.abc import Callable
from dataclasses import dataclass

from services.common.audit.note import AuditNote
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.states import State
from services.jobs.refusals import job_ended, job_not_found, job_stored
from services.jobs.store.queue.controls import SqlControls, Standing


@dataclass(frozen=True, kw_only=True)
class UnfinishedJobOperations:
    """Jobs that have not ended, for operators."""

    controls: SqlControls
    notify: Callable[[], None]
    """Wakes the workers."""

    async def standing(self, job_id: str) -> Standing:
        """Returns where a job is, whether it has ended or not. Refuses with JOB_NOT_FOUND."""
        standing = await self.controls.standing(job_id)
        if standing is None:
            raise job_not_found(job_id)
        return standing

    async def fail(self, job_id: str, *, note: AuditNote) -> None:
        """Gives a job up, so that it fails and its credits go back. Repeating it changes nothing.

        Refuses with JOB_NOT_FOUND, with JOB_STORED when the job is about to complete, or with JOB_ENDED.
        """
        if await self.controls.fail(job_id, failure=FailureCode.GENERATION_FAILED, note=note):
            self.notify()
            return
        standing = await self.controls.standing(job_id)
        if standing is None:
            raise job_not_found(job_id)
        if standing.state is State.STORED:
            raise job_stored(job_id, advice=" It can be refunded after that.")
        if standing.state is None and not standing.failed_by_operator:
            raise job_ended(job_id, standing.status)

    async def recheck(self, job_id: str, *, note: AuditNote) -> None:
        """Makes a job due, whatever it waits for. Refuses with JOB_NOT_FOUND or JOB_ENDED."""
        if await self.controls.recheck(job_id, note=note):
            self.notify()
            return
        standing = await self.controls.standing(job_id)
        if standing is None:
            raise job_not_found(job_id)
        raise job_ended(job_id, standing.status)
