"""Ports of the jobs service that are fulfilled by calling somebody else."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

import aiohttp
from grpc import aio
from reelgate.internal.intake.v1.event_pb2 import Event
from reelgate.internal.intake.v1.intake_service_pb2 import AcceptEventsRequest
from reelgate.internal.intake.v1.intake_service_pb2_grpc import IntakeServiceStub
from reelgate.internal.keys.v1.key_service_pb2 import LookUpKeyRequest
from reelgate.internal.keys.v1.key_service_pb2_grpc import KeyServiceStub
from reelgate.internal.ledger.v1 import ledger_service_pb2 as ledger_pb2
from reelgate.internal.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.common.authentication import Caller
from services.common.errors import Reason, ServiceError
from services.jobs.domain import Job, OutboxEvent, Output, Owner, is_right_size
from services.jobs.ports import ResultRejectedError, ResultUnavailableError
from services.media.errors import MediaGoneError, MediaRejectedError, MediaUnavailableError
from services.media.keep import keep
from services.media.limits import MediaLimits
from services.media.names import media_names
from services.media.store import MediaStore

HOLD_TIMEOUT_SECONDS = 5.0
LEDGER_TIMEOUT_SECONDS = 10.0
INTAKE_TIMEOUT_SECONDS = 10.0
LOOK_UP_TIMEOUT_SECONDS = 3.0
RESULTS_AT_ONCE_MAX = 8


class LedgerClient:
    """The port Ledger, at the billing service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = LedgerServiceStub(channel)

    async def hold(self, hold_id: str, *, owner: Owner, amount_micros: int) -> None:
        """Sets credits aside. Refuses with CREDITS_INSUFFICIENT."""
        request = ledger_pb2.CreateHoldRequest(
            hold_id=hold_id,
            account_id=owner.account_id,
            environment=owner.environment,
            amount_micros=amount_micros,
        )
        await self._stub.CreateHold(request, timeout=HOLD_TIMEOUT_SECONDS)

    async def confirm(self, hold_id: str) -> None:
        """Makes the hold last. Refuses with HOLD_EXPIRED."""
        request = ledger_pb2.ConfirmHoldRequest(hold_id=hold_id)
        await self._stub.ConfirmHold(request, timeout=LEDGER_TIMEOUT_SECONDS)

    async def capture(self, hold_id: str, *, amount_micros: int) -> None:
        """Takes credits and gives the rest back."""
        request = ledger_pb2.CaptureHoldRequest(hold_id=hold_id, amount_micros=amount_micros)
        await self._stub.CaptureHold(request, timeout=LEDGER_TIMEOUT_SECONDS)

    async def release(self, hold_id: str) -> None:
        """Gives all credits back. Refuses with HOLD_EXPIRED, when they went back before."""
        request = ledger_pb2.ReleaseHoldRequest(hold_id=hold_id)
        await self._stub.ReleaseHold(request, timeout=LEDGER_TIMEOUT_SECONDS)


class IntakeClient:
    """The port Intake, at the webhooks service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = IntakeServiceStub(channel)

    async def accept(self, events: Sequence[OutboxEvent]) -> None:
        """Hands events over, durably. Repeating it is harmless."""
        request = AcceptEventsRequest(events=[_render_event(event) for event in events])
        await self._stub.AcceptEvents(request, timeout=INTAKE_TIMEOUT_SECONDS)


def _render_event(event: OutboxEvent) -> Event:
    return Event(
        event_id=event.event_id,
        job_id=event.job_id,
        account_id=event.owner.account_id,
        environment=event.owner.environment,
        contract=event.owner.contract,
        type=event.type,
        sequence=event.sequence,
        target_url=event.target_url,
        body=event.body,
        occurred_at_millis=int(event.occurred_at.timestamp() * 1000),
    )


class KeyClient:
    """Looks API keys up at the billing service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = KeyServiceStub(channel)

    async def look_up(self, key_sha256: bytes) -> Caller | None:
        """Returns whom the key belongs to, or None when it does not work."""
        try:
            found = await self._stub.LookUpKey(
                LookUpKeyRequest(key_sha256=key_sha256), timeout=LOOK_UP_TIMEOUT_SECONDS
            )
        except ServiceError as error:
            if error.reason is Reason.KEY_INVALID:
                return None
            raise
        return Caller(
            key_id=found.key_id,
            account_id=found.account_id,
            environment=found.environment,
            contract=found.contract,
        )


class MediaKeeper:
    """The port Media: results are fetched, checked and put into the store, a few at a time."""

    def __init__(
        self, *, store: MediaStore, session: aiohttp.ClientSession, limits: MediaLimits, executor: Executor
    ) -> None:
        self._store = store
        self._session = session
        self._limits = limits
        self._executor = executor
        self._room = asyncio.Semaphore(RESULTS_AT_ONCE_MAX)

    async def keep(self, job: Job, *, source_url: str) -> Output:
        """Fetches, checks and stores a result. Repeating it overwrites the same objects.

        Raises ResultUnavailableError or ResultRejectedError.
        """
        try:
            async with self._room:
                kept = await keep(
                    source_url,
                    names=media_names(job.id, created_on=job.created_at.date()),
                    want_last_frame=job.input.return_last_frame,
                    store=self._store,
                    session=self._session,
                    limits=self._limits,
                    executor=self._executor,
                )
        except MediaRejectedError as error:
            raise ResultRejectedError(error.detail) from error
        except (MediaUnavailableError, MediaGoneError) as error:
            raise ResultUnavailableError(error.detail) from error
        if not is_right_size(job.input.resolution, width=kept.width, height=kept.height):
            raise ResultRejectedError(f"{kept.width}x{kept.height} is not {job.input.resolution}")
        return Output(
            video_url=kept.video_url,
            thumbnail_url=kept.thumbnail_url,
            last_frame_url=kept.last_frame_url,
            duration_seconds=kept.duration_seconds,
        )
