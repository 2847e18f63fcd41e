"""How operators' commands call services. Calls wait for a service that is just starting, until their deadline."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli.admin.target import AdminTarget
from services.cli.errors import CommandError
from services.common.errors import ServiceError
from services.common.rpc.client import open_channel
from services.common.tls.files import TlsError, TlsFolder

ANSWER_SECONDS_MAX: Final = 30.0
"""A person waits at a terminal; on a busy machine a late answer is better than none."""
NOT_TRUSTED: Final = ("handshake", "Socket closed")
"""What gRPC says when we refuse the other side's certificate, and when it refuses ours."""

Request = TypeVar("Request")
Response = TypeVar("Response")


async def call(
    target: AdminTarget,
    method: "Callable[[grpc.aio.Channel], grpc.aio.UnaryUnaryMultiCallable[Request, Response]]",
    request: Request,
) -> Response:
    """Calls one method of a service's admin port. Raises ServiceError, and CommandError as `open_admin_channel` does."""
    async with open_admin_channel(target) as channel:
        return await method(channel)(request, wait_for_ready=True)


@asynccontextmanager
async def open_admin_channel(target: AdminTarget) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel to the admin port of a service. Raises CommandError when a certificate is missing or not trusted."""
    tls = TlsFolder(target.tls)
    try:
        tls.read()
    except TlsError as error:
        raise CommandError(f"No operator's certificate: {error}") from error
    async with open_channel(target.address, tls=tls, timeout_seconds=ANSWER_SECONDS_MAX) as channel:
        await _check_trusted(channel, target)
        yield channel


async def _check_trusted(channel: grpc.aio.Channel, target: AdminTarget) -> None:
    # Calls wait for a service that is just starting. If the service does not accept our certificate, they would wait in vain.
    try:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    except ServiceError as error:
        if any(sign in error.detail for sign in NOT_TRUSTED):
            raise CommandError(
                f"{target.address} and the certificate in {target.tls} do not trust each other ({error.detail}). "
                "Choose another one with `reelgate --tls DIR`."
            ) from error
