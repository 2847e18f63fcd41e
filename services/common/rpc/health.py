"""The port of probes. It speaks plaintext, answers from the start of a process to its end, and serves nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

LIVE = "live"
"""The service whose health says only that the process answers. Liveness probes ask for it: a process that waits for its
database, or drains, must not be restarted."""
PROBES_AT_ONCE_MAX = 100


class Health:
    """What probes are told: ready or not."""

    def __init__(self, checks: Any, address: str) -> None:
        self._checks = checks
        self.address = address

    async def report(self, *, ready: bool) -> None:
        """Tells from now on that the process serves, or that it does not."""
        statuses = health_pb2.HealthCheckResponse
        await self._checks.set("", statuses.SERVING if ready else statuses.NOT_SERVING)


@asynccontextmanager
async def open_health(address: str) -> AsyncIterator[Health]:
    """Answers probes at `host:port` until the block ends, at first that the process is not ready."""
    server = aio.server(options=(("grpc.so_reuseport", 0),), maximum_concurrent_rpcs=PROBES_AT_ONCE_MAX)
    checks = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    host = address.rpartition(":")[0]
    opened = Health(checks, f"{host}:{server.add_insecure_port(address)}")
    await opened.report(ready=False)
    await checks.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    try:
        yield opened
    finally:
        await server.stop(None)
