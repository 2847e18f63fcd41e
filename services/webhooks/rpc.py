"""Servicers: parse, call one operation, render."""

from collections.abc import Callable
from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import signing_secret_service_pb2 as secrets_pb2
from reelgate.admin.v1.signing_secret_service_pb2_grpc import SigningSecretServiceServicer
from reelgate.internal.intake.v1 import intake_service_pb2 as intake_pb2
from reelgate.internal.intake.v1.intake_service_pb2_grpc import IntakeServiceServicer
from typing_extensions import override

from services.webhooks.convert import parse_event
from services.webhooks.operations.accept_events import accept_events
from services.webhooks.operations.ensure_signing_secret import ensure_signing_secret
from services.webhooks.ports import Events, SigningSecrets


class IntakeServicer(IntakeServiceServicer):
    """How events enter."""

    def __init__(self, *, events: Events, ring: Callable[[], None]) -> None:
        self._events = events
        self._ring = ring

    @override
    async def AcceptEvents(
        self, request: intake_pb2.AcceptEventsRequest, context: ServicerContext[Any, Any]
    ) -> intake_pb2.AcceptEventsResponse:
        batch = [parse_event(message) for message in request.events]
        new_count = await accept_events(batch, events=self._events, ring=self._ring)
        return intake_pb2.AcceptEventsResponse(new_count=new_count)


class SigningSecretServicer(SigningSecretServiceServicer):
    """What operators do with signing secrets."""

    def __init__(self, *, secrets: SigningSecrets, random_bytes: Callable[[int], bytes]) -> None:
        self._secrets = secrets
        self._random_bytes = random_bytes

    @override
    async def EnsureSigningSecret(
        self, request: secrets_pb2.EnsureSigningSecretRequest, context: ServicerContext[Any, Any]
    ) -> secrets_pb2.EnsureSigningSecretResponse:
        secret = await ensure_signing_secret(
            request.account_id, secrets=self._secrets, random_bytes=self._random_bytes
        )
        return secrets_pb2.EnsureSigningSecretResponse(secret=secret)
