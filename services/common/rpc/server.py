"""How every process serves gRPC, and how it stops: report NOT_SERVING, let balancers notice, drain, close."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.common.event_loop import run_to_end
from services.common.rpc.durations import (
    CONNECTION_AGE_SECONDS,
    CONNECTION_GRACE_SECONDS,
    DRAIN_SECONDS,
    FAREWELL_SECONDS,
    WAIT_SECONDS_MAX,
)
from services.common.rpc.health import Health
from services.common.rpc.interceptors import Middleware, MiddlewareInterceptor
from services.common.telemetry.logs import LogFormat, set_up_logs
from services.common.telemetry.rpc_metrics import bind_services
from services.common.tls.credentials import server_credentials
from services.common.tls.files import TlsFolder

log = logging.getLogger(__name__)

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
PUBLIC_REQUEST_BYTES_MAX = 512 * 1024
UNREAD_BYTES_MAX = 4 * PUBLIC_REQUEST_BYTES_MAX
"""What a public port receives, though it reads less: 256 KiB of JSON may become this much, and is then refused with a
message."""
METADATA_BYTES_MAX = 32 * 1024
CONCURRENT_CALLS_MAX = 2_000
OPEN_SERVICES = (health.SERVICE_NAME, reflection.SERVICE_NAME)

_SERVER_OPTIONS = (
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", 2 * METADATA_BYTES_MAX),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
)

AddServicer = Callable[[aio.Server], None]
HealthServicer = Any
"""A health.aio.HealthServicer, whose stubs do not exist."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """One listening port: what it serves, and the middleware around every method of it."""

    address: str
    """`host:port`; port 0 takes a free one."""
    services: Sequence[tuple[str, AddServicer]]
    """Full service names and the functions that add their servicers."""
    middleware: Sequence[Middleware]
    """Outermost first."""
    reflection: bool = False
    calls_max: int = CONCURRENT_CALLS_MAX
    """Calls at the same time, those that only wait included."""
    request_bytes_max: int = MESSAGE_BYTES_MAX
    """Larger requests are refused unread."""
    call_seconds_max: float = WAIT_SECONDS_MAX
    """How long its longest call may take. A connection that has reached its age ends after it."""
    tls: TlsFolder | None = None
    """What it shows, and whose callers it takes. None: it speaks plaintext."""


@asynccontextmanager
async def serve(
    *ports: Port,
    health: Health | None = None,
    notice_seconds: float = 0.0,
    let_go: Sequence[Callable[[], None]] = (),
    connection_age_seconds: float = CONNECTION_AGE_SECONDS,
) -> AsyncIterator[list[str]]:
    """Serves ports until the block ends, then stops all of them gracefully. Yields the addresses that were bound.

    `health` is told when all of them serve. On leaving it reports NOT_SERVING, waits `notice_seconds` for balancers,
    calls `let_go`, which ends what running calls only wait for, and lets them finish for DRAIN_SECONDS. Callers of other
    services of ours need no notice.
    """
    servers: list[tuple[aio.Server, MiddlewareInterceptor, HealthServicer]] = []
    addresses = []
    try:
        for port in ports:
            server, calls, checks, address = _built(port, connection_age_seconds)
            await server.start()
            servers.append((server, calls, checks))
            addresses.append(address)
            for name in ("", *(name for name, _ in port.services)):
                await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
        if health is not None:
            await health.report(ready=True)
        yield addresses
    finally:
        if health is not None:
            await health.report(ready=False)
        for _, _, checks in servers:
            await checks.enter_graceful_shutdown()
        await asyncio.sleep(notice_seconds)
        for release in let_go:
            release()
        await asyncio.gather(*(_stop(server, calls) for server, calls, _ in servers))


async def _stop(server: aio.Server, calls: MiddlewareInterceptor) -> None:
    """Lets running calls finish for DRAIN_SECONDS. What came too late to be begun, and health checks, end with the last.

    gRPC cancels late calls by itself. Now and then it forgets one, which would have its caller wait for all that time.
    """
    stopping = asyncio.create_task(server.stop(DRAIN_SECONDS))
    await asyncio.wait({stopping}, timeout=FAREWELL_SECONDS)
    while calls.running and not stopping.done():
        await asyncio.wait({stopping, *calls.running}, return_when=asyncio.FIRST_COMPLETED)
    calls.close()
    await asyncio.gather(stopping, server.stop(None))


def _built(
    port: Port, connection_age_seconds: float
) -> tuple[aio.Server, MiddlewareInterceptor, HealthServicer, str]:
    received_bytes_max = max(port.request_bytes_max, UNREAD_BYTES_MAX)
    calls = MiddlewareInterceptor(port.middleware, request_bytes_max=port.request_bytes_max)
    server = aio.server(
        interceptors=[calls],
        options=(
            *_SERVER_OPTIONS,
            # A certificate is checked when a connection is made: it may be used this long after it has expired.
            ("grpc.max_connection_age_ms", int(1000 * connection_age_seconds)),
            (
                "grpc.max_connection_age_grace_ms",
                int(1000 * (port.call_seconds_max + CONNECTION_GRACE_SECONDS)),
            ),
            ("grpc.max_receive_message_length", received_bytes_max),
        ),
        maximum_concurrent_rpcs=port.calls_max,
    )
    for _, add in port.services:
        add(server)
    bind_services(name for name, _ in port.services)
    checks = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    if port.reflection:
        reflection.enable_server_reflection([*(name for name, _ in port.services), *OPEN_SERVICES], server)
    host = port.address.rpartition(":")[0]
    if port.tls is None:
        return server, calls, checks, f"{host}:{server.add_insecure_port(port.address)}"
    bound = server.add_secure_port(port.address, server_credentials(port.tls))
    return server, calls, checks, f"{host}:{bound}"


def run_until_signalled(
    start: Callable[[AsyncExitStack], Awaitable[None]], *, log_format: LogFormat = "text"
) -> None:
    """Runs a process: `start` opens everything on the stack; SIGTERM or SIGINT closes it in reverse, or breaks the start off."""
    set_up_logs(log_format)
    run_to_end(_run(start))


async def _run(start: Callable[[AsyncExitStack], Awaitable[None]]) -> None:
    ready, stopped = asyncio.Event(), asyncio.Event()
    running = asyncio.current_task()
    assert running is not None

    def stop() -> None:
        if not ready.is_set() and not stopped.is_set():
            running.cancel()
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        async with AsyncExitStack() as stack:
            await start(stack)
            ready.set()
            log.info("ready")
            await stopped.wait()
            log.info("stopping")
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
        log.info("stopped before it was ready")
