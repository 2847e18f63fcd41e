"""How operators' commands call services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc

from services.common.client import open_channel
from services.devstack.admin.target import AdminTarget

ANSWER_SECONDS_MAX: Final = 30.0
"""Somebody waits at a terminal: better late, on a busy machine, than not at all."""


@asynccontextmanager
async def open_admin_channel(target: AdminTarget) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel to the admin port of a service."""
    async with open_channel(target.address, timeout_seconds=ANSWER_SECONDS_MAX) as channel:
        yield channel
