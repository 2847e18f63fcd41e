"""The worker's role: it walks jobs and performs duties beside that."""

from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from services.common.clock import utc_now
from services.common.egress.policy import UrlPolicy
from services.common.egress.session import open_egress_session
from services.common.idempotency.store import SqlIdempotencyKeys, forget_expired
from services.common.ids import new_token
from services.common.loop import Duty, performing
from services.common.postgres.database import Pool
from services.common.rpc.client import open_channel
from services.common.telemetry.readings import reading
from services.jobs.callback_tokens import CallbackTokens
from services.jobs.clients import IntakeClient
from services.jobs.convert.events import render_event
from services.jobs.domain.catalogue import Catalogue
from services.jobs.domain.states import State
from services.jobs.duties.admit_jobs import admit_jobs
from services.jobs.duties.call_up import call_up
from services.jobs.duties.delete_media import delete_media
from services.jobs.duties.end_waits import end_waits
from services.jobs.duties.fold_margins import fold_margins
from services.jobs.duties.forget_content_and_media import forget_content, forget_media
from services.jobs.duties.keep_months import keep_months
from services.jobs.duties.keep_places import keep_places
from services.jobs.duties.relay_events import relay_events
from services.jobs.duties.release_orphans import release_orphans
from services.jobs.duties.settle_refunds import settle_refunds
from services.jobs.duties.stop_strays import stop_strays
from services.jobs.duties.sweep_staged import sweep_staged
from services.jobs.duties.sweep_uploads import sweep_stray_files, sweep_uploads
from services.jobs.duties.verify_books import verify_books
from services.jobs.duties.walk_jobs import Step, Walker
from services.jobs.lanes import CAPACITY, Lane, Lanes
from services.jobs.ports import Intake, Media, Providers
from services.jobs.providers import CatalogueProviders, provider_policy
from services.jobs.results import MediaKeeper
from services.jobs.routing import Chooser
from services.jobs.steps.begin_attempt import begin_attempt
from services.jobs.steps.check import check
from services.jobs.steps.complete import complete
from services.jobs.steps.discard_result import discard_result
from services.jobs.steps.recover import recover
from services.jobs.steps.return_credits import return_credits
from services.jobs.steps.submit import submit
from services.jobs.store.admission.recount import SqlPlaces
from services.jobs.store.admission.waiting import SqlWaiting
from services.jobs.store.deletions import SqlDeletions
from services.jobs.store.jobs import SqlAnyJobs
from services.jobs.store.kept_days import SqlKeptDays
from services.jobs.store.margins import SqlMargins
from services.jobs.store.months import SqlMonths
from services.jobs.store.outbox import SqlOutbox
from services.jobs.store.queue.parked import SqlParked
from services.jobs.store.queue.strays import SqlStrays
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.readings import READINGS
from services.jobs.store.refunds import SqlRefunds
from services.jobs.store.retention import SqlRetention
from services.jobs.store.uploads import SqlUploads
from services.jobs.store.verification import SqlRecords
from services.jobs.upload_files import UploadFiles
from services.jobs.wiring.core import CALLS_MAX, DELETIONS_CHANNEL, OUTBOX_CHANNEL, WORK_CHANNEL, Core
from services.jobs.wiring.pictures import CONNECTIONS_MAX, picture_loader
from services.media.limits import MediaLimits
from services.media.prober import Prober
from services.media.store import MediaStore

MEDIA_THREADS = 2
PROBES_AT_ONCE_MAX = 2


@asynccontextmanager
async def working(core: Core, pool: Pool) -> AsyncIterator[None]:
    """Walks jobs, and performs the duties beside it, until the block ends."""
    settings = core.settings
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        webhooks = await enter(open_channel(settings.webhooks_target, tls=core.tls))
        policy = provider_policy(settings, core.catalogue)
        session = await enter(open_egress_session(policy, connections_max=CALLS_MAX))
        results = await enter(open_egress_session(policy, connections_max=CAPACITY[Lane.FETCH]))
        executor = stack.enter_context(ThreadPoolExecutor(MEDIA_THREADS, thread_name_prefix="media"))
        limits = MediaLimits()
        prober = Prober(limits=limits, processes_max=PROBES_AT_ONCE_MAX)
        await enter(prober.running())
        media = MediaKeeper(
            store=MediaStore.open(settings.media_store_url, public_base_url=settings.media_base_url),
            session=results,
            prober=prober,
            limits=limits,
            executor=executor,
        )
        customers = UrlPolicy(private_targets_allowed=settings.private_targets_allowed)
        references = await enter(open_egress_session(customers, connections_max=CONNECTIONS_MAX))
        providers = CatalogueProviders(settings, session, core.catalogue, load=picture_loader(references))
        waiting = core.waiting(pool)
        files = await enter(core.upload_files())
        duties = _duties(
            core,
            pool,
            waiting=waiting,
            intake=IntakeClient(webhooks),
            providers=providers,
            media=media,
            files=files,
        )
        await enter(performing(*duties))
        walker = _walker(core, core.work(pool, waiting), providers=providers, media=media, files=files)
        await enter(walker.running(wake=core.notifier.event(WORK_CHANNEL)))
        yield


def _duties(
    core: Core,
    pool: Pool,
    *,
    waiting: SqlWaiting,
    intake: Intake,
    providers: Providers,
    media: MediaKeeper,
    files: UploadFiles,
) -> tuple[Duty, ...]:
    settings, ledger, holds = core.settings, core.ledger, core.holds
    records, retention, own = SqlRecords(pool), SqlRetention(pool), SqlKeptDays(pool)
    uploads = SqlUploads(pool)
    return (
        relay_events(outbox=SqlOutbox(pool), intake=intake, wake=core.notifier.event(OUTBOX_CHANNEL)),
        admit_jobs(waiting),
        call_up(
            parked=SqlParked(pool),
            catalogue=core.catalogue,
            notify=partial(core.notifier.notify, WORK_CHANNEL),
        ),
        end_waits(waiting=waiting, withdrawals=SqlWithdrawals(pool)),
        release_orphans(holds=holds, records=records, ledger=ledger),
        settle_refunds(refunds=SqlRefunds(pool), ledger=ledger),
        stop_strays(strays=SqlStrays(pool), providers=providers),
        sweep_staged(staged=media, jobs=SqlAnyJobs(pool), clock=utc_now),
        forget_content(retention, own=own, days_of=settings.content_days_of),
        forget_media(retention, own=own, days_of=settings.media_days_of, delete=media.delete),
        delete_media(SqlDeletions(pool), delete=media.delete, wake=core.notifier.event(DELETIONS_CHANNEL)),
        sweep_uploads(uploads, files),
        sweep_stray_files(uploads, files, clock=utc_now),
        keep_months(SqlMonths(pool), kept_days=settings.job_days),
        fold_margins(SqlMargins(pool)),
        keep_places(SqlPlaces(pool)),
        forget_expired(SqlIdempotencyKeys(pool)),
        verify_books(records=records, holds=holds),
        reading(pool, READINGS, service="jobs"),
    )


def _walker(core: Core, work: SqlWork, *, providers: Providers, media: Media, files: UploadFiles) -> Walker:
    settings, ledger, lanes = core.settings, core.ledger, Lanes()
    begin = partial(
        begin_attempt,
        work=work,
        ledger=ledger,
        candidates=Chooser(core.catalogue).candidates,
        new_token=new_token,
    )
    submitting = partial(
        submit,
        work=work,
        providers=providers,
        options_of=partial(_options_of, core.catalogue),
        callback_url=partial(_callback_url, settings.callback_base_url, settings.callback_tokens),
        readable=files.readable,
        clock=utc_now,
        render_event=render_event,
    )
    steps: dict[State, Step] = {
        State.PENDING: begin,
        State.SUBMITTING: partial(
            recover, work=work, providers=providers, clock=utc_now, render_event=render_event
        ),
        State.PROCESSING: partial(
            check,
            work=work,
            providers=providers,
            media=media,
            may_fetch=lanes.may_fetch,
            clock=utc_now,
            render_event=render_event,
        ),
        State.STORED: partial(
            complete,
            work=work,
            ledger=ledger,
            media=media,
            clock=utc_now,
            render_event=render_event,
            links=core.links,
        ),
        State.FAILING: partial(
            discard_result,
            media=media,
            return_credits=partial(
                return_credits, work=work, ledger=ledger, clock=utc_now, render_event=render_event
            ),
        ),
    }
    return Walker(work=work, steps=steps, submit=submitting, lanes=lanes)


def _options_of(catalogue: Callable[[], Catalogue], route: str) -> Mapping[str, str]:
    known = catalogue().routes.get(route)
    return known.options if known else {}


def _callback_url(base_url: str, tokens: CallbackTokens, token: str) -> str | None:
    return f"{base_url.rstrip('/')}/callbacks/{tokens.sign(token)}" if base_url else None
