"""What walks jobs, and the duties beside it."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from services.common.clock import utc_now
from services.common.egress.session import open_egress_session
from services.common.idempotency.store import SqlIdempotencyKeys, forget_expired
from services.common.ids import new_token
from services.common.loop import performing, repeat, running
from services.common.postgres.database import Pool
from services.common.rpc.client import open_channel
from services.common.verification.checks import verifying
from services.jobs.callback_tokens import CallbackTokens
from services.jobs.catalogue import load_catalogue
from services.jobs.clients import (
    IntakeClient,
)
from services.jobs.convert.events import render_event
from services.jobs.domain.states import State
from services.jobs.lanes import Lanes
from services.jobs.operations.verify_jobs import verify_jobs
from services.jobs.ports import Media, Providers
from services.jobs.results import RESULTS_AT_ONCE_MAX, MediaKeeper
from services.jobs.routing import provider_policy, providers_of, route_of
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
from services.jobs.store.jobs import SqlAnyJobs
from services.jobs.store.outbox import SqlOutbox
from services.jobs.store.queue.strays import SqlStrays
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.refunds import SqlRefunds
from services.jobs.store.retention import Kept, SqlRetention
from services.jobs.store.verification import SqlRecords
from services.jobs.wiring.core import CALLS_MAX, OUTBOX_CHANNEL, WORK_CHANNEL, Core
from services.jobs.workers import Step, Walker
from services.media.limits import MediaLimits
from services.media.prober import Prober
from services.media.store import MediaStore

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


@asynccontextmanager
async def working(core: Core, pool: Pool) -> AsyncIterator[None]:
    """Walks jobs, and performs the duties beside it, until the block ends."""
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
        bell = core.notifier.event(OUTBOX_CHANNEL)
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
        await enter(walker.running(wake=core.notifier.event(WORK_CHANNEL)))
        yield


def _forgetting(
    settings: JobsSettings, *, retention: SqlRetention, media: MediaKeeper
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


def _walker(core: Core, work: SqlWork, *, providers: Providers, media: Media) -> Walker:
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
