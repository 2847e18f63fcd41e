"""What every role of a jobs process uses."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from services.common.postgres.database import Pool, open_pool
from services.common.postgres.notifier import Notifier
from services.common.tls.files import TlsFolder
from services.jobs.catalogue.current import CurrentCatalogue
from services.jobs.clients import (
    HoldClient,
    LedgerClient,
)
from services.jobs.media_links import Links
from services.jobs.settings import JobsSettings
from services.jobs.store.admission.waiting import SqlWaiting
from services.jobs.store.queue.work import SqlWork
from services.jobs.timing import WALK_REST_SECONDS
from services.jobs.upload_files import UploadFiles
from services.media.limits import MediaLimits
from services.media.prober import REFERENCE_COMMAND, Prober
from services.media.signed_addresses import AddressSigner
from services.media.store import MediaStore

WORK_CHANNEL = "jobs_work"
OUTBOX_CHANNEL = "jobs_outbox"
DELETIONS_CHANNEL = "jobs_deletions"
MOVED_TOPIC = "jobs_moved"
CALLS_MAX = 100
"""Calls of providers, or of a moderation endpoint, at the same time."""


@dataclass(frozen=True, kw_only=True)
class Core:
    """What every role of a jobs process uses."""

    settings: JobsSettings
    catalogue: CurrentCatalogue
    tls: TlsFolder | None
    notifier: Notifier
    ledger: LedgerClient
    holds: HoldClient
    links: Links
    """Gives jobs the addresses of media that their customers get."""

    @asynccontextmanager
    async def upload_files(self) -> AsyncIterator[UploadFiles]:
        """Opens the files of uploads. The process that looks at files of a bucket is started when there is one."""
        settings = self.settings
        secret = settings.media_url_secret
        prober = Prober(limits=MediaLimits(), processes_max=1, command=REFERENCE_COMMAND)
        async with prober.running():
            yield UploadFiles(
                MediaStore.open(settings.media_store_url, public_base_url=settings.media_base_url),
                signer=None if secret is None else AddressSigner(secret=secret.get_secret_value()),
                prober=prober,
            )

    def open_pool(self, name: str) -> AbstractAsyncContextManager[Pool]:
        """Opens a role's own pool, so that walking jobs never keeps a customer waiting for a connection."""
        return open_pool(
            self.settings.database_url,
            name=name,
            connections_max=self.settings.connections_max,
            plans_once=True,
        )

    def waiting(self, pool: Pool) -> SqlWaiting:
        """Returns the jobs that wait for a slot; the workers are notified of those that are admitted."""
        return SqlWaiting(pool, notify=partial(self.notifier.notify, WORK_CHANNEL))

    def work(self, pool: Pool, waiting: SqlWaiting) -> SqlWork:
        """Returns the unfinished jobs; each move of a job is published to the callers that watch it."""
        return SqlWork(
            pool,
            notify=partial(self.notifier.notify, OUTBOX_CHANNEL),
            name_moved=partial(self.notifier.publish, MOVED_TOPIC),
            waiting=waiting,
            rest_seconds=WALK_REST_SECONDS,
        )
