"""Builds a jobs process: opens everything in order and closes it in reverse."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Flag, auto
from functools import partial
from types import MappingProxyType

from grpc import aio

from services.common.auth.authentication import KeyCache
from services.common.auth.key_client import KeyClient
from services.common.clock import utc_now
from services.common.egress.session import open_egress_session
from services.common.ids import new_id
from services.common.loop import performing
from services.common.postgres.database import Pool
from services.common.postgres.notifier import open_notifier
from services.common.postgres.reader import open_reader
from services.common.rate_limit.client import LimitClient
from services.common.rate_limit.limiter import Limiter
from services.common.rpc.client import open_channel
from services.common.rpc.internal_port import inner_tls
from services.common.rpc.reach import tried
from services.common.rpc.server import (
    Port,
    serve,
)
from services.common.start import starting
from services.jobs.clients import (
    HoldClient,
    LedgerClient,
    PriceCache,
    PriceClient,
)
from services.jobs.duties.watch_catalogue import watch_catalogue
from services.jobs.operations.delete_job import delete_job
from services.jobs.providers import CatalogueProviders, open_catalogue, provider_policy
from services.jobs.settings import JobsSettings
from services.jobs.store.deletions import SqlDeletions
from services.jobs.store.jobs import BY_ID, SqlJobs
from services.jobs.store.queue.stages import SqlStages
from services.jobs.watch.event_stream import EventStreams
from services.jobs.watch.job_watch import JobWatch
from services.jobs.wiring.api import canceller_of, job_operations, moderating, public_port, upload_operations
from services.jobs.wiring.core import (
    CALLS_MAX,
    DELETIONS_CHANNEL,
    MOVED_TOPIC,
    OUTBOX_CHANNEL,
    WORK_CHANNEL,
    Core,
)
from services.jobs.wiring.internal import admin_port
from services.jobs.wiring.links import links_of

NOTHING_SET: Mapping[str, str] = MappingProxyType({})


class Role(Flag):
    """What a process does."""

    API = auto()
    WORKER = auto()
    ALL = API | WORKER


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where a running process answers, as `host:port`."""

    admin_address: str
    health_address: str
    public_address: str | None


@asynccontextmanager
async def open_jobs(
    settings: JobsSettings, *, role: Role = Role.ALL, environment: Mapping[str, str] = NOTHING_SET
) -> AsyncIterator[Running]:
    """Runs jobs until the block ends, then stops gracefully. Raises SettingsError.

    `environment` has the variables with the keys that the catalogue names.
    """
    tls = inner_tls(settings, settings.admin_address)
    catalogue = open_catalogue(settings, environment)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        health = await enter(starting(settings, service="jobs"))
        notifier = await enter(
            open_notifier(
                settings.database_url,
                (WORK_CHANNEL, OUTBOX_CHANNEL, DELETIONS_CHANNEL),
                name="jobs-wakeups",
                topics=(MOVED_TOPIC,),
            )
        )
        billing = await enter(open_channel(settings.billing_target, tls=tls))
        core = Core(
            settings=settings,
            catalogue=catalogue,
            tls=tls,
            notifier=notifier,
            ledger=LedgerClient(billing),
            holds=HoldClient(billing),
            links=links_of(settings),
        )
        await enter(performing(watch_catalogue(catalogue.look)))
        ports: list[Port] = []
        let_go: list[Callable[[], None]] = []
        if Role.WORKER in role:
            # It brings what fetches and keeps media, which customers never cause.
            from services.jobs.wiring.worker import working

            pool = await enter(core.open_pool("jobs-worker"))
            await enter(working(core, pool))
        if Role.API in role:
            pool = await enter(core.open_pool("jobs-api"))
            port, watch = await enter(_serving(core, pool, billing))
            ports.append(port)
            let_go.append(watch.release)
        ports.append(
            admin_port(
                settings,
                pool,
                ledger=core.ledger,
                holds=core.holds,
                catalogue=core.catalogue,
                notify=partial(notifier.notify, WORK_CHANNEL),
                links=core.links,
                worths=lambda: catalogue().credit_value_micros,
                tls=tls,
            )
        )
        *public, admin_address = await enter(
            serve(*ports, health=health, notice_seconds=settings.notice_seconds, let_go=let_go)
        )
        yield Running(
            admin_address=admin_address,
            health_address=health.address,
            public_address=public[0] if public else None,
        )


@asynccontextmanager
async def _serving(core: Core, pool: Pool, billing: aio.Channel) -> AsyncIterator[tuple[Port, JobWatch]]:
    """Opens what stands behind the port that customers call, and yields the port and the watch over its waiters."""
    settings, notifier = core.settings, core.notifier
    await tried(billing)
    limiter = Limiter(LimitClient(billing).lease, holder=new_id("holder"))
    watch = JobWatch(SqlStages(pool))
    notifier.subscribe(MOVED_TOPIC, watch.receive)
    async with (
        limiter.running(),
        watch.running(),
        moderating(settings) as moderate,
        open_egress_session(provider_policy(settings, core.catalogue), connections_max=CALLS_MAX) as session,
        core.upload_files() as files,
        open_reader(settings.database_url, BY_ID, name=pool.name) as reader,
    ):
        uploads = upload_operations(settings, pool, files)
        jobs = job_operations(
            core.catalogue,
            SqlJobs(pool, reader=reader),
            ledger=core.ledger,
            funds=core.ledger,
            prices=PriceCache(PriceClient(billing).fetch),
            moderate=moderate,
            notify=partial(notifier.notify, WORK_CHANNEL),
            uploads=uploads,
        )
        canceller = canceller_of(
            jobs,
            pool,
            work=core.work(pool, core.waiting(pool)),
            providers=CatalogueProviders(settings, session, core.catalogue),
        )
        port = public_port(
            settings,
            pool,
            keys=KeyCache(KeyClient(billing).look_up, forms=settings.key_forms),
            limiter=limiter,
            jobs=jobs,
            uploads=uploads,
            canceller=canceller,
            delete=partial(
                delete_job,
                jobs=jobs.jobs,
                deletions=SqlDeletions(pool),
                notify=partial(notifier.notify, DELETIONS_CHANNEL),
            ),
            streams=EventStreams(watch, clock=utc_now, links=core.links),
        )
        yield port, watch
