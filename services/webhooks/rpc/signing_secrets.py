"""What operators do with signing secrets, on the wire."""

from collections.abc import Callable
from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import signing_secret_service_pb2 as secrets_pb2
from reelgate.admin.v1.signing_secret_service_pb2_grpc import SigningSecretServiceServicer
from typing_extensions import override

from services.webhooks.operations.ensure_signing_secret import ensure_signing_secret
from services.webhooks.ports import SigningSecrets


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
