"""Builds a jobs process: opens everything in order and closes it in reverse."""

import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Flag, auto
from functools import partial

from reelgate.admin.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from reelgate.admin.v1.job_admin_service_pb2_grpc import add_JobAdminServiceServicer_to_server
from reelgate.admin.v1.outbox_admin_service_pb2_grpc import add_OutboxAdminServiceServicer_to_server
from reelgate.admin.v1.verifier_service_pb2_grpc import add_VerifierServiceServicer_to_server
from reelgate.callback.v1.callback_service_pb2_grpc import add_CallbackServiceServicer_to_server
from reelgate.models.v1.models_service_pb2_grpc import add_ModelsServiceServicer_to_server
from reelgate.nextapi.v1.job_service_pb2_grpc import add_JobServiceServicer_to_server
from reelgate.usage.v1.usage_service_pb2_grpc import add_UsageServiceServicer_to_server
from reelgate.video.v1.video_service_pb2_grpc import add_VideoServiceServicer_to_server

from services.common.audit.servicer import AUDIT_SERVICE, AuditServicer
from services.common.audit.store import SqlAuditLog
from services.common.authentication import KeyCache, authenticated
from services.common.blanks import without_blanks
from services.common.boundary import errors_mapped, logged
from services.common.bounds import bounded
from services.common.client import open_channel
from services.common.clock import utc_now
from services.common.database import Pool, open_pool
from services.common.egress.policy import UrlPolicy
from services.common.egress.session import open_egress_session
from services.common.egress.urls import check_url, origin_of
from services.common.exactness import exact
from services.common.idempotency import idempotent
from services.common.idempotency_store import SqlIdempotencyKeys, forget_expired
from services.common.ids import new_id, new_token
from services.common.inner import inner_port, inner_tls
from services.common.key_client import KeyClient
from services.common.limit_client import LimitClient
from services.common.limits import Limiter, limited
from services.common.loop import performing, repeat, running
from services.common.serve import CONCURRENT_CALLS_MAX, PUBLIC_REQUEST_BYTES_MAX, Port, health_port, serve
from services.common.tls.files import TlsFolder
from services.common.validation import validated
from services.common.verification import verifying
from services.common.wakeup import Wakeups, open_wakeups
from services.jobs.callback_tokens import CallbackTokens
from services.jobs.catalogue import load_catalogue
from services.jobs.clients import (
    HoldClient,
    IntakeClient,
    LedgerClient,
    ModerationClient,
    PriceCache,
    PriceClient,
)
from services.jobs.convert.events import render_event
from services.jobs.domain import (
    Kept,
    State,
)
from services.jobs.lanes import Lanes
from services.jobs.moderation import load_profiles
from services.jobs.operations.cancel_job import Canceller
from services.jobs.operations.mend_job import Mender
from services.jobs.operations.moderate_prompt import Moderate, moderate_prompt
from services.jobs.operations.verify_jobs import verify_jobs
from services.jobs.ports import Media, Prices, Providers, Retention, Work
from services.jobs.results import RESULTS_AT_ONCE_MAX, MediaKeeper
from services.jobs.routing import provider_policy, providers_of, route_of
from services.jobs.rpc.access import (
    CALLBACK_SERVICE,
    JOB_ADMIN_SERVICE,
    JOB_SERVICE,
    MODELS_SERVICE,
    OUTBOX_ADMIN_SERVICE,
    PUBLIC_ACCESS,
    USAGE_SERVICE,
    VERIFIER_SERVICE,
    VIDEO_SERVICE,
)
from services.jobs.rpc.callbacks import CallbackServicer
from services.jobs.rpc.event_stream import EventStreams
from services.jobs.rpc.job_admin import JobAdminServicer
from services.jobs.rpc.jobs import JobServicer
from services.jobs.rpc.models import ModelsServicer
from services.jobs.rpc.needs import Needs
from services.jobs.rpc.outbox_admin import OutboxAdminServicer
from services.jobs.rpc.usage import UsageServicer
from services.jobs.rpc.verifier import VerifierServicer
from services.jobs.rpc.videos import VideoServicer
from services.jobs.rpc.watching import WATCHERS_MAX, JobWatch
from services.jobs.settings import JobsSettings
from services.jobs.steps.begin_attempt import begin_attempt
from services.jobs.steps.check import check
from services.jobs.steps.complete import complete
from services.jobs.steps.discard_result import discard_result
from services.jobs.steps.end_waits import end_waits
from services.jobs.steps.forget import Forgetting, forget_content, forget_media
from services.jobs.steps.hand_over_events import hand_over_events
from services.jobs.steps.recover import recover
from services.jobs.steps.refund import refund
from services.jobs.steps.return_orphans import Orphans
from services.jobs.steps.settle_refunds import settle_refunds
from services.jobs.steps.stop_stray import stop_stray
from services.jobs.steps.submit import submit
from services.jobs.steps.sweep_staged import sweep_staged
from services.jobs.store.controls import SqlControls
from services.jobs.store.jobs import SqlAnyJobs, SqlJobs
from services.jobs.store.outbox import SqlOutbox
from services.jobs.store.refunds import SqlRefunds
from services.jobs.store.refused_events import SqlRefusedEvents
from services.jobs.store.repairs import SqlRepairs
from services.jobs.store.retention import SqlRetention
from services.jobs.store.stages import SqlStages
from services.jobs.store.strays import SqlStrays
from services.jobs.store.verification import SqlRecords
from services.jobs.store.waiting import SqlWaiting
from services.jobs.store.withdrawals import SqlWithdrawals
from services.jobs.store.work import SqlWork
from services.jobs.workers import Step, Walker
from services.media.limits import MediaLimits
from services.media.prober import Prober
from services.media.store import MediaStore
from services.upstream.providers.ark.wire import parse_callback

WORK_BELL = "jobs_work"
OUTBOX_BELL = "jobs_outbox"
MOVED_TOPIC = "jobs_moved"
RELAY_SECONDS = 1.0
ADMIT_SECONDS = 1.0
"""A place that nobody was let in to, because a process died, stays free for so long at most."""
END_WAITS_SECONDS = 5.0
ORPHANS_SECONDS = 15.0
STRAYS_SECONDS = 5.0
REFUNDS_SECONDS = 5.0
SWEEP_SECONDS = 600.0
FORGET_SECONDS = 60.0
MEDIA_THREADS = 2
PROBES_AT_ONCE_MAX = 2
CALLS_MAX = 100
"""Calls of providers, or of a moderation endpoint, at the same time."""
SEED_MAX = 2**31 - 1


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


@dataclass(frozen=True, kw_only=True)
class _Core:
    """What every role of a jobs process uses."""

    settings: JobsSettings
    tls: TlsFolder | None
    wakeups: Wakeups
    ledger: LedgerClient
    holds: HoldClient

    def open_pool(self, name: str) -> AbstractAsyncContextManager[Pool]:
        """Opens a role's own pool, so that walking jobs never keeps a customer waiting for a connection."""
        return open_pool(self.settings.database_url, name=name, connections_max=self.settings.connections_max)

    def waiting(self, pool: Pool) -> SqlWaiting:
        """Returns the jobs that wait for a place; the workers hear of those that are let in."""
        return SqlWaiting(pool, ring=partial(self.wakeups.ring, WORK_BELL))

    def work(self, pool: Pool, waiting: SqlWaiting) -> SqlWork:
        """Returns the unfinished jobs; whoever waits for a move of one hears of it."""
        return SqlWork(
            pool,
            ring=partial(self.wakeups.ring, OUTBOX_BELL),
            name_moved=partial(self.wakeups.tell, MOVED_TOPIC),
            waiting=waiting,
        )


@asynccontextmanager
async def open_jobs(settings: JobsSettings, *, role: Role = Role.ALL) -> AsyncIterator[Running]:
    """Runs jobs until the block ends, then stops gracefully. Raises SettingsError."""
    tls = inner_tls(settings, settings.admin_address)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        wakeups = await enter(
            open_wakeups(settings.database_url, (WORK_BELL, OUTBOX_BELL), topics=(MOVED_TOPIC,))
        )
        billing = await enter(open_channel(settings.billing_target, tls=tls))
        core = _Core(
            settings=settings,
            tls=tls,
            wakeups=wakeups,
            ledger=LedgerClient(billing),
            holds=HoldClient(billing),
        )
        public_ports: list[Port] = []
        let_go: list[Callable[[], None]] = []
        if Role.WORKER in role:
            pool = await enter(core.open_pool("jobs-worker"))
            await enter(_working(core, pool))
        if Role.API in role:
            pool = await enter(core.open_pool("jobs-api"))
            keys = KeyCache(KeyClient(billing).look_up, forms=settings.key_forms)
            limiter = Limiter(LimitClient(billing).lease, holder=new_id("holder"))
            await enter(limiter.running())
            prices = PriceCache(PriceClient(billing).fetch)
            watch = JobWatch(SqlStages(pool))
            wakeups.hear(MOVED_TOPIC, watch.hear)
            await enter(watch.running())
            let_go.append(watch.release)
            moderate = await enter(_moderating(settings))
            session = await enter(open_egress_session(provider_policy(settings), connections_max=CALLS_MAX))
            canceller = _canceller(core, pool, providers=providers_of(settings, session))
            public_ports.append(_public_port(core, pool, keys, limiter, prices, moderate, watch, canceller))
        ports = (*public_ports, _admin_port(core, pool), health_port(settings.health_address))
        *public, admin_address, health_address = await enter(
            serve(*ports, notice_seconds=settings.notice_seconds, let_go=let_go)
        )
        yield Running(
            admin_address=admin_address,
            health_address=health_address,
            public_address=public[0] if public else None,
        )


def _admin_port(core: _Core, pool: Pool) -> Port:
    settings = core.settings
    job_admin = JobAdminServicer(
        controls=SqlControls(pool),
        refunds=SqlRefunds(pool),
        ledger=core.ledger,
        mender=_mender(core, pool),
        ring=partial(core.wakeups.ring, WORK_BELL),
    )
    outbox_admin = OutboxAdminServicer(events=SqlRefusedEvents(pool))
    audit = AuditServicer(SqlAuditLog(pool))
    verifier = VerifierServicer(records=SqlRecords(pool), holds=core.holds)
    operators = settings.operator_identities
    return inner_port(
        settings.admin_address,
        (
            (JOB_ADMIN_SERVICE, partial(add_JobAdminServiceServicer_to_server, job_admin), operators),
            (
                OUTBOX_ADMIN_SERVICE,
                partial(add_OutboxAdminServiceServicer_to_server, outbox_admin),
                operators,
            ),
            (AUDIT_SERVICE, partial(add_AuditServiceServicer_to_server, audit), operators),
            (VERIFIER_SERVICE, partial(add_VerifierServiceServicer_to_server, verifier), operators),
        ),
        tls=core.tls,
        reflection=settings.reflection,
    )


@asynccontextmanager
async def _moderating(settings: JobsSettings) -> AsyncIterator[Moderate]:
    profiles = load_profiles(settings.moderation_file)
    if not settings.moderation_url:
        yield partial(moderate_prompt, profiles=profiles, moderator=None)
        return
    api_key = settings.moderation_api_key
    policy = UrlPolicy(origins_trusted=frozenset({origin_of(settings.moderation_url)}))
    async with open_egress_session(policy, connections_max=CALLS_MAX) as session:
        moderator = ModerationClient(
            session=session,
            url=settings.moderation_url,
            api_key=None if api_key is None else api_key.get_secret_value(),
            model=settings.moderation_model or None,
            timeout_seconds=settings.moderation_timeout_seconds,
        )
        yield partial(moderate_prompt, profiles=profiles, moderator=moderator)


def _mender(core: _Core, pool: Pool) -> Mender:
    return Mender(
        records=SqlRecords(pool),
        holds=core.holds,
        ledger=core.ledger,
        repairs=SqlRepairs(pool),
        ring=partial(core.wakeups.ring, WORK_BELL),
    )


def _canceller(core: _Core, pool: Pool, *, providers: Providers) -> Canceller:
    work = core.work(pool, core.waiting(pool))
    return Canceller(
        jobs=SqlJobs(pool),
        work=work,
        withdrawals=SqlWithdrawals(pool),
        providers=providers,
        refund=partial(refund, work=work, ledger=core.ledger, clock=utc_now, render_event=render_event),
    )


def _public_port(
    core: _Core,
    pool: Pool,
    keys: KeyCache,
    limiter: Limiter,
    prices: Prices,
    moderate: Moderate,
    watch: JobWatch,
    canceller: Canceller,
) -> Port:
    settings = core.settings
    catalogue, _ = load_catalogue(settings.catalogue_file)
    jobs = SqlJobs(pool)
    policy = UrlPolicy(private_targets_allowed=settings.private_targets_allowed)
    needs = Needs(
        catalogue=catalogue,
        prices=prices,
        moderate=moderate,
        jobs=jobs,
        ledger=core.ledger,
        funds=core.ledger,
        check_url=partial(check_url, policy=policy),
        random_seed=partial(secrets.randbelow, SEED_MAX + 1),
        new_id=new_id,
        ring=partial(core.wakeups.ring, WORK_BELL),
        clock=utc_now,
        watch=watch,
        streams=EventStreams(watch, clock=utc_now),
        canceller=canceller,
    )
    models = ModelsServicer(catalogue=catalogue, prices=prices, clock=utc_now)
    usage = UsageServicer(jobs=jobs, clock=utc_now)
    callback = CallbackServicer(
        tokens=settings.callback_tokens,
        work=SqlWork(pool),
        claimed_task_id=lambda body: parse_callback(body).task_id,
        ring=partial(core.wakeups.ring, WORK_BELL),
    )
    return Port(
        address=settings.public_address,
        request_bytes_max=PUBLIC_REQUEST_BYTES_MAX,
        services=(
            (VIDEO_SERVICE, partial(add_VideoServiceServicer_to_server, VideoServicer(needs))),
            (JOB_SERVICE, partial(add_JobServiceServicer_to_server, JobServicer(needs))),
            (MODELS_SERVICE, partial(add_ModelsServiceServicer_to_server, models)),
            (USAGE_SERVICE, partial(add_UsageServiceServicer_to_server, usage)),
            (CALLBACK_SERVICE, partial(add_CallbackServiceServicer_to_server, callback)),
        ),
        layers=(
            logged,
            errors_mapped,
            authenticated(keys, PUBLIC_ACCESS),
            limited(limiter, PUBLIC_ACCESS),
            bounded,
            exact(PUBLIC_ACCESS),
            without_blanks,
            idempotent(SqlIdempotencyKeys(pool), PUBLIC_ACCESS),
            validated,
        ),
        reflection=settings.reflection,
        calls_max=CONCURRENT_CALLS_MAX + WATCHERS_MAX,
    )


@asynccontextmanager
async def _working(core: _Core, pool: Pool) -> AsyncIterator[None]:
    settings = core.settings
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        webhooks = await enter(open_channel(settings.webhooks_target, tls=core.tls))
        policy = provider_policy(settings)
        session = await enter(open_egress_session(policy, connections_max=CALLS_MAX))
        results = await enter(open_egress_session(policy, connections_max=RESULTS_AT_ONCE_MAX))
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
        sweep = partial(sweep_staged, staged=media, jobs=SqlAnyJobs(pool), clock=utc_now)
        await enter(running(repeat(sweep, name="staged", idle_seconds=SWEEP_SECONDS)))
        for forgetting in _forgetting(settings, retention=SqlRetention(pool), media=media):
            await enter(running(repeat(forgetting.run_once, name="forget", idle_seconds=FORGET_SECONDS)))
        relay = partial(hand_over_events, outbox=SqlOutbox(pool), intake=IntakeClient(webhooks))
        bell = core.wakeups.bell(OUTBOX_BELL)
        await enter(running(repeat(relay, name="relay", idle_seconds=RELAY_SECONDS, wake=bell)))
        settle = partial(settle_refunds, refunds=SqlRefunds(pool), ledger=core.ledger)
        await enter(running(repeat(settle, name="refunds", idle_seconds=REFUNDS_SECONDS)))
        verify = partial(verify_jobs, records=SqlRecords(pool), holds=core.holds)
        await enter(performing(verifying(verify)))
        await enter(performing(forget_expired(SqlIdempotencyKeys(pool))))
        waiting = core.waiting(pool)
        await enter(running(repeat(waiting.admit, name="admit", idle_seconds=ADMIT_SECONDS)))
        end = partial(end_waits, waiting=waiting, withdrawals=SqlWithdrawals(pool))
        await enter(running(repeat(end, name="waiting", idle_seconds=END_WAITS_SECONDS)))
        orphans = Orphans(holds=core.holds, records=SqlRecords(pool), ledger=core.ledger)
        await enter(running(repeat(orphans.return_once, name="orphans", idle_seconds=ORPHANS_SECONDS)))
        work = core.work(pool, waiting)
        providers = providers_of(settings, session)
        stop = partial(stop_stray, strays=SqlStrays(pool), providers=providers)
        await enter(running(repeat(stop, name="strays", idle_seconds=STRAYS_SECONDS)))
        walker = _walker(core, work, providers=providers, media=media)
        await enter(walker.running(wake=core.wakeups.bell(WORK_BELL)))
        yield


def _forgetting(
    settings: JobsSettings, *, retention: Retention, media: MediaKeeper
) -> tuple[Forgetting, Forgetting]:
    """Returns the duties that forget content, and media."""
    return (
        Forgetting(
            Kept.CONTENT,
            retention=retention,
            days_of=settings.content_days_of,
            forget=partial(forget_content, retention=retention),
        ),
        Forgetting(
            Kept.MEDIA,
            retention=retention,
            days_of=settings.media_days_of,
            forget=partial(forget_media, retention=retention, delete=media.delete),
        ),
    )


def _walker(core: _Core, work: Work, *, providers: Providers, media: Media) -> Walker:
    settings, ledger, lanes = core.settings, core.ledger, Lanes()
    _, upstream_names = load_catalogue(settings.catalogue_file)
    begin = partial(
        begin_attempt,
        work=work,
        ledger=ledger,
        choose_route=partial(route_of, settings.live_provider, upstream_names),
        new_token=new_token,
    )
    submitting = partial(
        submit,
        work=work,
        providers=providers,
        callback_url=partial(_callback_url, settings.callback_base_url, settings.callback_tokens),
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
            complete, work=work, ledger=ledger, media=media, clock=utc_now, render_event=render_event
        ),
        State.FAILING: partial(
            discard_result,
            media=media,
            refund=partial(refund, work=work, ledger=ledger, clock=utc_now, render_event=render_event),
        ),
    }
    return Walker(work=work, steps=steps, submit=submitting, lanes=lanes)


def _callback_url(base_url: str, tokens: CallbackTokens, token: str) -> str | None:
    return f"{base_url.rstrip('/')}/callbacks/{tokens.sign(token)}" if base_url else None
