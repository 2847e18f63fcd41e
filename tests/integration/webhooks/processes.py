"""Dispatchers as processes of their own, which a test may kill."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.rpc.client import open_channel
from services.webhooks.settings import WebhooksSettings
from tests.conftest import KEY_SECRET, free_port
from tests.patience import PATIENCE_SECONDS


@asynccontextmanager
async def dispatcher_process(settings: WebhooksSettings) -> AsyncIterator[asyncio.subprocess.Process]:
    address = f"127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "WEBHOOKS_DATABASE_URL": settings.database_url,
        "WEBHOOKS_HEALTH_ADDRESS": address,
        "WEBHOOKS_METRICS_ADDRESS": "127.0.0.1:0",
        "WEBHOOKS_KEY_CHECKSUM_SECRETS": KEY_SECRET,
        "WEBHOOKS_BILLING_TARGET": settings.billing_target,
        "WEBHOOKS_SECRET_KEY": settings.secret_key.get_secret_value(),
        "WEBHOOKS_PRIVATE_TARGETS_ALLOWED": "127.0.0.0/8",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.webhooks", "dispatcher", env=environment
    )
    try:
        async with open_channel(address) as channel:
            await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=PATIENCE_SECONDS
            )
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
