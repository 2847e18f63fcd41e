"""Deletes uploads whose time is over, and files that no upload knows."""

import logging
from datetime import timedelta
from functools import partial

from services.common.clock import Clock
from services.common.loop import Duty
from services.jobs.store.uploads import SqlUploads
from services.jobs.upload_files import UploadFiles
from services.media.errors import MediaUnavailableError

log = logging.getLogger(__name__)

SWEPT_MAX = 100
IDLE_SECONDS = 60.0
STRAY_IDLE_SECONDS = 3_600.0
STRAY_AGE = timedelta(hours=1)
"""A file that is older was announced long ago: if no upload knows it, it came after its upload was deleted."""


def sweep_uploads(uploads: SqlUploads, files: UploadFiles) -> Duty:
    """Returns the duty that deletes files of uploads whose time is over, and then forgets these uploads."""
    return Duty("uploads", partial(_sweep_old, uploads, files), idle_seconds=IDLE_SECONDS)


def sweep_stray_files(uploads: SqlUploads, files: UploadFiles, *, clock: Clock) -> Duty:
    """Returns the duty that deletes files that no upload knows, and fragments."""
    return Duty("stray_files", partial(_sweep_strays, uploads, files, clock), idle_seconds=STRAY_IDLE_SECONDS)


async def _sweep_old(uploads: SqlUploads, files: UploadFiles) -> int:
    swept = 0
    for upload in await uploads.old(limit=SWEPT_MAX):
        try:
            await files.delete(upload.name)
        except MediaUnavailableError as error:
            log.warning("upload=%s not deleted: %s", upload.id, error)
            continue
        await uploads.forget(upload.id)
        swept += 1
    return swept


async def _sweep_strays(uploads: SqlUploads, files: UploadFiles, clock: Clock) -> int:
    moment = clock() - STRAY_AGE
    swept = await files.delete_fragments(moment)
    async for batch in files.ids_before(moment):
        known = await uploads.known(sorted(batch))
        for upload_id in batch.keys() - known:
            await files.delete(batch[upload_id])
            swept += 1
    # It has looked at all there is: nothing is left to go on with at once.
    log.info("swept=%s stray files of uploads", swept)
    return 0
