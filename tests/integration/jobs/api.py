"""The public port of the jobs service in this process, and a customer in front of it."""

import itertools
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from reelgate.callback.v1.callback_service_pb2_grpc import (
    CallbackServiceStub,
)
from reelgate.models.v1.models_service_pb2_grpc import ModelsServiceStub
from reelgate.nextapi.v1.job_service_pb2_grpc import JobServiceStub
from reelgate.uploads.v1.upload_service_pb2_grpc import UploadServiceStub
from reelgate.usage.v1.usage_service_pb2_grpc import UsageServiceStub
from reelgate.video.v1.video_service_pb2_grpc import VideoServiceStub

from services.common.auth.authentication import (
    Caller,
    KeyCache,
)
from services.common.auth.key_forms import KEY_PREFIXES, older_checksum
from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.common.rate_limit.limiter import Limiter
from services.common.rpc.server import serve
from services.jobs.domain.catalogue import Catalogue
from services.jobs.domain.requests import CAPS_DEFAULT, Caps
from services.jobs.media_links import Links, as_stored
from services.jobs.moderation import load_profiles
from services.jobs.operations.delete_job import delete_job
from services.jobs.operations.moderate_prompt import Moderate, moderate_prompt
from services.jobs.settings import JobsSettings
from services.jobs.store.deletions import SqlDeletions
from services.jobs.store.jobs import SqlJobs
from services.jobs.store.queue.stages import SqlStages
from services.jobs.store.queue.work import SqlWork
from services.jobs.upload_files import UploadFiles
from services.jobs.watch.event_stream import PACE, EventStreams, Pace
from services.jobs.watch.job_watch import JobWatch
from services.jobs.wiring.api import canceller_of, job_operations, public_port, upload_operations
from services.media.limits import MediaLimits
from services.media.prober import REFERENCE_COMMAND, Prober
from services.media.signed_addresses import AddressSigner
from services.media.store import MediaStore
from services.upstream.provider import Pending, Provider
from tests.fakes.jobs import FakeLedger, FakePrices
from tests.fakes.upstream import ScriptedProvider
from tests.integration.jobs.conftest import jobs_settings
from tests.patience import PATIENCE_SECONDS
from tests.unit.common.rate_limit.limit_world import Billing
from tests.unit.jobs.samples import CATALOGUE, PRICES

PROFILES = load_profiles(JobsSettings.model_fields["moderation_file"].default)
JUDGED_BY_RULES = partial(moderate_prompt, profiles=PROFILES, moderator=None)
CALLS_PER_MINUTE = 1_000_000
RICH_MICROS = 10**12


class Refusal(Exception):  # noqa: N818 - it is an answer
    """What a refused call brings back."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        trailers: dict[str, Any] = dict(cast("Any", error.trailing_metadata()))
        self.envelope = json.loads(trailers["x-api-error-bin"])
        self.http_status = int(trailers["x-api-status"])
        super().__init__(self.envelope)

    @property
    def message(self) -> str:
        return str(self.envelope["error"]["message"])


@dataclass
class Api:
    """A running public port."""

    media: Path
    """Where its files lie."""
    ledger: FakeLedger
    prices: FakePrices
    work: SqlWork
    jobs: SqlJobs
    callers: dict[bytes, Caller]
    watch: JobWatch
    provider: ScriptedProvider = field(
        default_factory=lambda: ScriptedProvider(answers=[Pending(running=False)])
    )
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """What happens whenever a cancellation waits; no time passes."""
    notified: list[bool] = field(default_factory=list)
    moment: datetime | None = None
    """What the clock of the service shows; None: the present."""
    stubs: dict[str, Any] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)

    def now(self) -> datetime:
        return self.moment or utc_now()

    async def pause(self, _seconds: float) -> None:
        if self.meanwhile is not None:
            await self.meanwhile()

    def add_key(
        self,
        *,
        account_id: str = "acct_1",
        environment: str = "live",
        contract: str = "seedancee2",
        models: tuple[str, ...] = (),
        caps: Caps = CAPS_DEFAULT,
        moderation_profile: str = "",
        moderation_profiles: tuple[str, ...] = (),
    ) -> str:
        """Returns a new key of an account that has plenty of credits."""
        body = KEY_PREFIXES[contract, environment] + f"{next(self._numbers):032d}"
        key = body + older_checksum(body)
        self.callers[sha256(key.encode()).digest()] = Caller(
            key_id=f"key_{len(self.callers)}",
            account_id=account_id,
            environment=environment,
            contract=contract,
            models=models,
            account_jobs_at_once=caps.account_jobs,
            key_jobs_at_once=caps.key_jobs,
            moderation_profile=moderation_profile,
            moderation_profiles=moderation_profiles,
        )
        self.ledger.available_micros.setdefault((account_id, environment), RICH_MICROS)
        return key

    async def call(
        self, method: str, fields: dict[str, Any] | Message | None = None, *, key: str | None
    ) -> dict[str, Any]:
        """Calls `Service.Method` and returns its answer as the edge prints it. Raises Refusal."""
        service, name = method.split(".")
        stub_method = getattr(self.stubs[service], name)
        request = fields if isinstance(fields, Message) else _request(service, name, fields or {})
        metadata = () if key is None else (("authorization", f"Bearer {key}"),)
        try:
            answer = await stub_method(request, metadata=metadata, timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise Refusal(error) from error
        printed: dict[str, Any] = MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return printed


def _request(service: str, name: str, fields: dict[str, Any]) -> Message:
    module = service.lower()
    package = {"Job": "nextapi", "Upload": "uploads"}.get(service, module)
    messages = import_module(f"reelgate.{package}.v1.{module}_service_pb2")
    request: Message = ParseDict(fields, getattr(messages, f"{name}Request")())
    return request


@asynccontextmanager
async def running_api(
    pool: Pool,
    *,
    moderate: Moderate = JUDGED_BY_RULES,
    pace: Pace = PACE,
    provider: Provider | None = None,
    catalogue: Callable[[], Catalogue] = lambda: CATALOGUE,
    settings: JobsSettings | None = None,
    links: Links = as_stored,
) -> AsyncIterator[Api]:
    """Serves the public port on a free one."""
    watch = JobWatch(SqlStages(pool))
    callers: dict[bytes, Caller] = {}
    folder = tempfile.TemporaryDirectory()
    api = Api(
        media=Path(folder.name),
        ledger=FakeLedger(),
        prices=FakePrices(PRICES),
        work=SqlWork(pool),
        jobs=SqlJobs(pool),
        callers=callers,
        watch=watch,
    )

    async def look_up(digest: bytes) -> Caller | None:
        return callers.get(digest)

    settings = settings or jobs_settings()
    files = UploadFiles(
        MediaStore.open(folder.name, public_base_url=settings.media_base_url),
        signer=AddressSigner(secret="of the media host"),
        prober=Prober(limits=MediaLimits(), processes_max=1, command=REFERENCE_COMMAND),
    )
    uploads = upload_operations(settings, pool, files)
    jobs = job_operations(
        catalogue,
        api.jobs,
        ledger=api.ledger,
        funds=api.ledger,
        prices=api.prices,
        moderate=moderate,
        notify=lambda: api.notified.append(True),
        uploads=uploads,
        clock=api.now,
    )
    by_route = {"ark": provider or api.provider}
    providers = {"live": by_route, "test": by_route}
    limiter = Limiter(Billing(CALLS_PER_MINUTE).lease, holder="tests")
    port = public_port(
        settings,
        pool,
        keys=KeyCache(look_up),
        limiter=limiter,
        jobs=jobs,
        uploads=uploads,
        canceller=canceller_of(jobs, pool, work=api.work, providers=providers, pause=api.pause),
        delete=partial(
            delete_job,
            jobs=api.jobs,
            deletions=SqlDeletions(pool),
            notify=lambda: api.notified.append(True),
        ),
        streams=EventStreams(watch, clock=api.now, pace=pace, links=links),
    )
    async with (
        AsyncExitStack() as stack,
        limiter.running(),
        serve(port) as [address],
        grpc.aio.insecure_channel(address) as channel,
        watch.running(),
    ):
        stack.enter_context(folder)
        api.stubs = {
            "Video": VideoServiceStub(channel),
            "Job": JobServiceStub(channel),
            "Models": ModelsServiceStub(channel),
            "Upload": UploadServiceStub(channel),
            "Usage": UsageServiceStub(channel),
            "Callback": CallbackServiceStub(channel),
        }
        yield api
