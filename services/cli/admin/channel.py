"""How operators' commands call services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli.admin.target import AdminTarget
from services.cli.errors import CommandError
from services.common.client import open_channel
from services.common.errors import ServiceError
from services.common.tls.files import TlsError, TlsFolder

ANSWER_SECONDS_MAX: Final = 30.0
"""Somebody waits at a terminal: better late, on a busy machine, than not at all."""
NOT_LET_IN: Final = ("handshake", "Socket closed")
"""What gRPC says when we refuse the other side's certificate, and when it refuses ours."""


@asynccontextmanager
async def open_admin_channel(target: AdminTarget) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel to the admin port of a service. Raises CommandError when certificates do not fit."""
    tls = TlsFolder(target.tls)
    try:
        tls.read()
    except TlsError as error:
        raise CommandError(f"No operator's certificate: {error}") from error
    async with open_channel(target.address, tls=tls, timeout_seconds=ANSWER_SECONDS_MAX) as channel:
        await _check_let_in(channel, target)
        yield channel


async def _check_let_in(channel: grpc.aio.Channel, target: AdminTarget) -> None:
    # Calls wait for a service that is just starting. For one that will not have us they would wait in vain.
    try:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    except ServiceError as error:
        if any(sign in error.detail for sign in NOT_LET_IN):
            raise CommandError(
                f"{target.address} and the certificate in {target.tls} do not trust each other ({error.detail}). "
                "Choose another one with `reelgate --tls DIR`."
            ) from error
