"""How operators' commands call services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc

from services.common.client import open_channel
from services.common.tls.files import TlsError, TlsFolder
from services.devstack.admin.target import AdminTarget
from services.devstack.errors import StackError

ANSWER_SECONDS_MAX: Final = 30.0
"""Somebody waits at a terminal: better late, on a busy machine, than not at all."""


@asynccontextmanager
async def open_admin_channel(target: AdminTarget) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel to the admin port of a service. Raises StackError when there is no usable certificate."""
    tls = TlsFolder(target.tls)
    try:
        tls.read()
    except TlsError as error:
        raise StackError(f"No operator's certificate: {error}") from error
    async with open_channel(target.address, tls=tls, timeout_seconds=ANSWER_SECONDS_MAX) as channel:
        yield channel
