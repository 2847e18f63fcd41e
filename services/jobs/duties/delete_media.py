"""Deletes the files of jobs that their owners deleted."""

import asyncio
import logging
from functools import partial

from services.common.loop import Duty
from services.jobs.duties.forget_content_and_media import DeleteMedia
from services.jobs.ports import ResultUnavailableError
from services.jobs.store.deletions import MediaDeletion, SqlDeletions

log = logging.getLogger(__name__)

JOBS_OF_EACH_MAX = 10
"""Of one account in one batch, so that nobody waits for an account that deletes all it has."""
JOBS_MAX = 100
IDLE_SECONDS = 5.0


def delete_media(deletions: SqlDeletions, *, delete: DeleteMedia, wake: asyncio.Event | None = None) -> Duty:
    """Returns the duty. Files that the store does not delete now are tried again later, and hold up no others."""
    return Duty("deletions", partial(_delete_due, deletions, delete), idle_seconds=IDLE_SECONDS, wake=wake)


async def _delete_due(deletions: SqlDeletions, delete: DeleteMedia) -> int:
    due = await deletions.take_due(each_max=JOBS_OF_EACH_MAX, most=JOBS_MAX)
    are_gone = await asyncio.gather(*(_is_deleted(each, delete) for each in due))
    gone = [each for each, is_gone in zip(due, are_gone, strict=True) if is_gone]
    # Deleted first, ended second: after a crash in between they are deleted again.
    if gone:
        await deletions.end(gone)
    return len(gone)


async def _is_deleted(deletion: MediaDeletion, delete: DeleteMedia) -> bool:
    try:
        await delete(deletion.job_id, deletion.created_on)
    except ResultUnavailableError as error:
        log.warning("job=%s was deleted, its media not yet: %s", deletion.job_id, error)
        return False
    return True
