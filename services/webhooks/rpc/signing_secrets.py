"""What operators do with signing secrets, on the wire."""

from collections.abc import Callable
from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import signing_secret_service_pb2 as pb
from reelgate.admin.v1.signing_secret_service_pb2_grpc import SigningSecretServiceServicer
from typing_extensions import override

from services.common.audit.servicer import parse_note
from services.common.rpc.enums import environment_of
from services.webhooks.convert import render_signing
from services.webhooks.domain import new_secret
from services.webhooks.store.sealed_rows import SqlSealedRows
from services.webhooks.store.secrets import SqlSigningSecrets

RESEALED_MAX = 500
Context = ServicerContext[Any, Any]


class SigningSecretServicer(SigningSecretServiceServicer):
    """What operators do with signing secrets."""

    def __init__(
        self, *, secrets: SqlSigningSecrets, sealed_rows: SqlSealedRows, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._secrets = secrets
        self._sealed_rows = sealed_rows
        self._random_bytes = random_bytes

    @override
    async def EnsureSigningSecret(
        self, request: pb.EnsureSigningSecretRequest, context: Context
    ) -> pb.EnsureSigningSecretResponse:
        secret = new_secret(self._random_bytes)
        is_new = await self._secrets.ensure(
            request.account_id, environment=environment_of(request.environment), candidate=secret
        )
        return pb.EnsureSigningSecretResponse(secret=secret if is_new else "")

    @override
    async def GetSigning(self, request: pb.GetSigningRequest, context: Context) -> pb.GetSigningResponse:
        signing = await self._secrets.get(request.account_id, environment=environment_of(request.environment))
        return pb.GetSigningResponse(signing=render_signing(signing))

    @override
    async def RotateSigningSecret(
        self, request: pb.RotateSigningSecretRequest, context: Context
    ) -> pb.RotateSigningSecretResponse:
        secret = new_secret(self._random_bytes)
        signing = await self._secrets.rotate(
            request.account_id,
            environment=environment_of(request.environment),
            secret=secret,
            note=parse_note(request.audit),
        )
        return pb.RotateSigningSecretResponse(secret=secret, signing=render_signing(signing))

    @override
    async def ConfirmSigningSecret(
        self, request: pb.ConfirmSigningSecretRequest, context: Context
    ) -> pb.ConfirmSigningSecretResponse:
        signing = await self._secrets.confirm(
            request.account_id,
            environment=environment_of(request.environment),
            note=parse_note(request.audit),
        )
        return pb.ConfirmSigningSecretResponse(signing=render_signing(signing))

    @override
    async def SetSigning(self, request: pb.SetSigningRequest, context: Context) -> pb.SetSigningResponse:
        signing = await self._secrets.switch(
            request.account_id,
            environment=environment_of(request.environment),
            is_signing=request.signing,
            note=parse_note(request.audit),
        )
        return pb.SetSigningResponse(signing=render_signing(signing))

    @override
    async def ResealSecrets(
        self, request: pb.ResealSecretsRequest, context: Context
    ) -> pb.ResealSecretsResponse:
        resealed = await self._sealed_rows.reseal(
            after=request.page_token, rows_max=RESEALED_MAX, note=parse_note(request.audit)
        )
        return pb.ResealSecretsResponse(**vars(resealed))
