"""Processes of a bench's own, beside those of the stack and on its PostgreSQL."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psutil

from services.common.postgres.migrate import migrate
from services.devstack.folder import StackFolder
from tests.conftest import free_port
from tests.e2e.edge_process import running_edge
from tests.e2e.local_stack import Stack


@asynccontextmanager
async def open_edge(
    status: dict[str, Any], jobs_target: str, *, creations_per_second_per_key: int = 0
) -> AsyncIterator[str]:
    """Runs an edge without an access log in front of a jobs process and the stack's billing. Yields `host:port`."""
    async with running_edge(
        jobs_targets=jobs_target,
        billing_targets=status["grpc"]["billing"]["public"],
        access_log=False,
        calls_per_second_per_address=0,
        creations_per_second_per_key=creations_per_second_per_key,
        body_kib_per_second_per_address=0,
        connections_per_address=0,
    ) as edge:
        yield edge.address


async def start_api(
    opened: AsyncExitStack, stack: Stack, *, database: str, changes: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Starts a jobs api process, without a worker, on a database of its own. Returns its address and database.

    It calls the stack's billing, with a certificate, unless `changes` gives other settings for both.
    """
    status = stack.status()
    cluster = await asyncio.to_thread(stack.cluster)
    await asyncio.to_thread(cluster.ensure_database, database)
    url = cluster.url(database)
    await asyncio.to_thread(migrate, url, service="jobs")
    address = f"127.0.0.1:{free_port()}"
    settings = {
        "JOBS_DATABASE_URL": url,
        "JOBS_KEY_CHECKSUM_SECRETS_FILE": str(StackFolder(stack.folder).key_checksum_secrets),
        "JOBS_PUBLIC_ADDRESS": address,
        "JOBS_ADMIN_ADDRESS": "127.0.0.1:0",
        "JOBS_HEALTH_ADDRESS": "127.0.0.1:0",
        "JOBS_METRICS_ADDRESS": "127.0.0.1:0",
        "JOBS_WEBHOOKS_TARGET": status["grpc"]["webhooks"]["internal"],
        "JOBS_MEDIA_STORE_URL": "unused",
        "JOBS_MEDIA_BASE_URL": "http://unused.example",
        "JOBS_LIVE_PROVIDER": "simulator",
        "JOBS_SIMULATOR_BASE_URL": "http://unused.example",
        "JOBS_SIMULATOR_API_KEY": "unused",
        **(changes or _of_the_stack(stack)),
    }
    await start(opened, "services.jobs", "api", environment=settings)
    return address, url


def _of_the_stack(stack: Stack) -> dict[str, str]:
    return {
        "JOBS_BILLING_TARGET": stack.status()["grpc"]["billing"]["internal"],
        "JOBS_TLS_FOLDER": str(StackFolder(stack.folder).tls / "jobs"),
    }


async def start(
    opened: AsyncExitStack, module: str, *arguments: str, environment: dict[str, str]
) -> asyncio.subprocess.Process:
    """Starts a Python module as a process that ends with the stack of contexts, unless it was killed before."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def stop() -> None:
        if process.returncode is None:
            process.terminate()
        await process.wait()

    opened.push_async_callback(stop)
    return process


def process_at(address: str) -> psutil.Process:
    """Returns the process of ours that listens at `host:port`."""
    port = int(address.rpartition(":")[2])
    return next(
        child
        for child in psutil.Process().children()
        if any(
            each.laddr.port == port and each.status == psutil.CONN_LISTEN
            for each in child.net_connections("tcp")
        )
    )
