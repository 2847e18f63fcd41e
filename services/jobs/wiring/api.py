"""The port that customers call, and what stands behind it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from reelgate.callback.v1.callback_service_pb2_grpc import add_CallbackServiceServicer_to_server
from reelgate.models.v1.models_service_pb2_grpc import add_ModelsServiceServicer_to_server
from reelgate.nextapi.v1.job_service_pb2_grpc import add_JobServiceServicer_to_server
from reelgate.uploads.v1.upload_service_pb2_grpc import add_UploadServiceServicer_to_server
from reelgate.usage.v1.usage_service_pb2_grpc import add_UsageServiceServicer_to_server
from reelgate.video.v1.video_service_pb2_grpc import add_VideoServiceServicer_to_server

from services.common.auth.authentication import KeyCache
from services.common.clock import Clock, utc_now
from services.common.egress.policy import UrlPolicy
from services.common.egress.session import open_egress_session
from services.common.egress.urls import check_url, origin_of
from services.common.idempotency.store import SqlIdempotencyKeys
from services.common.ids import new_id, new_token
from services.common.postgres.database import Pool
from services.common.rate_limit.limiter import Limiter
from services.common.rpc.overload import Entrance
from services.common.rpc.public_port import build_public_port
from services.common.rpc.server import CONCURRENT_CALLS_MAX, Port
from services.jobs.clients import (
    ModerationClient,
)
from services.jobs.convert.events import render_event
from services.jobs.convert.nextapi import parse_new_job
from services.jobs.convert.seedancee2 import parse_new_video
from services.jobs.domain.catalogue import Catalogue
from services.jobs.domain.uploads import UploadQuota
from services.jobs.moderation import load_profiles
from services.jobs.operations.cancel_job import Canceller
from services.jobs.operations.delete_job import DeleteJob
from services.jobs.operations.jobs import JobOperations
from services.jobs.operations.models import ModelOperations
from services.jobs.operations.moderate_prompt import Moderate, moderate_prompt
from services.jobs.operations.receive_callback import CallbackReceiver
from services.jobs.operations.uploads import UploadOperations
from services.jobs.ports import Funds, Ledger, Prices, Providers
from services.jobs.rpc.access import (
    CALLBACK_SERVICE,
    JOB_SERVICE,
    MODELS_SERVICE,
    PUBLIC_ACCESS,
    UPLOAD_SERVICE,
    USAGE_SERVICE,
    VIDEO_SERVICE,
)
from services.jobs.rpc.callbacks import CallbackServicer
from services.jobs.rpc.jobs import JobServicer
from services.jobs.rpc.models import ModelsServicer
from services.jobs.rpc.uploads import UploadServicer
from services.jobs.rpc.usage import UsageServicer
from services.jobs.rpc.videos import VideoServicer
from services.jobs.settings import JobsSettings
from services.jobs.steps.return_credits import return_credits
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.queue.called import SqlCalled
from services.jobs.store.queue.withdrawals import SqlWithdrawals
from services.jobs.store.queue.work import SqlWork
from services.jobs.store.uploads import SqlUploads
from services.jobs.upload_files import UploadFiles
from services.jobs.watch.event_stream import EventStreams
from services.jobs.watch.job_watch import SUBSCRIPTIONS_MAX
from services.jobs.wiring.core import CALLS_MAX
from services.media.reference_rules import MB
from services.upstream.registry import CALLBACK_HEADERS

SEED_MAX = 2**31 - 1


def public_port(
    settings: JobsSettings,
    pool: Pool,
    *,
    keys: KeyCache,
    limiter: Limiter,
    jobs: JobOperations,
    uploads: UploadOperations,
    canceller: Canceller,
    delete: DeleteJob,
    streams: EventStreams,
) -> Port:
    """Returns the port that customers call."""
    check = partial(check_url, policy=UrlPolicy(private_targets_allowed=settings.private_targets_allowed))
    seed = partial(secrets.randbelow, SEED_MAX + 1)
    uploads_url = uploads.files.base_url
    video_servicer = VideoServicer(
        jobs=jobs,
        canceller=canceller,
        delete=delete,
        streams=streams,
        parse=partial(parse_new_video, check_url=check, random_seed=seed, uploads_url=uploads_url),
    )
    job_servicer = JobServicer(
        jobs=jobs,
        canceller=canceller,
        delete=delete,
        streams=streams,
        parse=partial(parse_new_job, check_url=check, random_seed=seed, uploads_url=uploads_url),
        clock=jobs.clock,
    )
    receiver = CallbackReceiver(
        tokens=settings.callback_tokens,
        called=SqlCalled(pool),
        work=canceller.work,
        providers=canceller.providers,
        notify=jobs.notify,
    )
    callbacks = CallbackServicer(receiver.receive, headers=CALLBACK_HEADERS)
    models, usage = ModelsServicer(jobs.models), UsageServicer(jobs=jobs.jobs, clock=jobs.clock)
    return build_public_port(
        settings.public_address,
        (
            (VIDEO_SERVICE, partial(add_VideoServiceServicer_to_server, video_servicer)),
            (JOB_SERVICE, partial(add_JobServiceServicer_to_server, job_servicer)),
            (MODELS_SERVICE, partial(add_ModelsServiceServicer_to_server, models)),
            (UPLOAD_SERVICE, partial(add_UploadServiceServicer_to_server, UploadServicer(uploads))),
            (USAGE_SERVICE, partial(add_UsageServiceServicer_to_server, usage)),
            (CALLBACK_SERVICE, partial(add_CallbackServiceServicer_to_server, callbacks)),
        ),
        access=PUBLIC_ACCESS,
        keys=keys,
        limiter=limiter,
        idempotency_keys=SqlIdempotencyKeys(pool),
        reflection=settings.reflection,
        entrance=Entrance(),
        calls_max=CONCURRENT_CALLS_MAX + SUBSCRIPTIONS_MAX,
        call_seconds_max=streams.seconds_max,
    )


def job_operations(
    catalogue: Callable[[], Catalogue],
    jobs: SqlJobs,
    *,
    ledger: Ledger,
    funds: Funds,
    prices: Prices,
    moderate: Moderate,
    notify: Callable[[], None],
    uploads: UploadOperations,
    clock: Clock = utc_now,
) -> JobOperations:
    """Returns what owners do with jobs. `notify` wakes the workers."""
    return JobOperations(
        jobs=jobs,
        models=ModelOperations(catalogue=catalogue, prices=prices, clock=clock),
        moderate=moderate,
        ledger=ledger,
        funds=funds,
        new_id=new_id,
        notify=notify,
        clock=clock,
        use_uploads=uploads.use,
    )


def upload_operations(settings: JobsSettings, pool: Pool, files: UploadFiles) -> UploadOperations:
    """Returns what owners do with uploads."""
    return UploadOperations(
        uploads=SqlUploads(pool),
        files=files,
        quota=UploadQuota(count_max=settings.uploads_max, byte_count_max=settings.upload_mb_max * MB),
        new_id=new_id,
        new_token=new_token,
        clock=utc_now,
    )


def canceller_of(
    jobs: JobOperations,
    pool: Pool,
    *,
    work: SqlWork,
    providers: Providers,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Canceller:
    """Returns what cancels jobs."""
    return Canceller(
        jobs=jobs.jobs,
        work=work,
        withdrawals=SqlWithdrawals(pool),
        providers=providers,
        return_credits=partial(
            return_credits, work=work, ledger=jobs.ledger, clock=jobs.clock, render_event=render_event
        ),
        pause=pause,
    )


@asynccontextmanager
async def moderating(settings: JobsSettings) -> AsyncIterator[Moderate]:
    """Opens the way to the moderation endpoint, if there is one, and yields what judges prompts."""
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
