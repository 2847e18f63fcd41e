"""A process without its schema answers probes, says what it waits for, and goes on by itself."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from psycopg import sql

from services.billing.settings import BillingSettings
from services.billing.wiring import open_billing
from services.common.postgres.migrate import migrate
from services.common.postgres.schema import (
    POLL_SECONDS,
    POLL_SECONDS_FIRST,
    POLLS_FIRST,
    find_gap,
    newest_known,
    until_migrated,
)
from services.common.process import run_service
from services.common.rpc.health import LIVE
from services.common.settings import ServiceSettings, load_settings
from services.jobs.diagnosis import checks_of as jobs_checks
from services.jobs.settings import JobsSettings
from services.jobs.wiring.process import Role as JobsRole
from services.jobs.wiring.process import open_jobs
from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import Role as WebhooksRole
from services.webhooks.wiring import open_webhooks
from tests.conftest import MakeDatabase, cluster, free_port
from tests.integration.common.environments import environment_of
from tests.patience import PATIENCE_SECONDS

Open = Callable[[Any], AbstractAsyncContextManager[Any]]
Probe = Callable[[str], Awaitable[int]]
EVERYTHING = ""
SETTINGS: Mapping[str, type[ServiceSettings]] = {
    "billing": BillingSettings,
    "jobs": JobsSettings,
    "webhooks": WebhooksSettings,
}
PROCESSES: Mapping[str, tuple[str, Open]] = {
    "billing api": ("billing", open_billing),
    "jobs api": ("jobs", partial(open_jobs, role=JobsRole.API)),
    "jobs worker": ("jobs", partial(open_jobs, role=JobsRole.WORKER)),
    "webhooks api": ("webhooks", partial(open_webhooks, role=WebhooksRole.API)),
    "webhooks dispatcher": ("webhooks", partial(open_webhooks, role=WebhooksRole.DISPATCHER)),
}
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
OWN_SESSIONS = """
SELECT application_name FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    AND query <> '' AND query !~ 'alembic_version'
"""


@pytest.fixture
def empty_database(postgres_port: int) -> Iterator[str]:
    """Returns the address of a database without tables."""
    name = "test_start_order"
    cluster(postgres_port).ensure_database(name)
    yield cluster(postgres_port).url(name)
    with psycopg.connect(cluster(postgres_port).url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@asynccontextmanager
async def probing(address: str) -> AsyncIterator[Probe]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def probe(name: str) -> int:
            request = health_pb2.HealthCheckRequest(service=name)
            answer = await stub.Check(request, wait_for_ready=True, timeout=PATIENCE_SECONDS)
            return int(answer.status)

        yield probe


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110  it is seen from outside only
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("process", PROCESSES)
async def test_a_process_without_its_schema_is_not_ready_and_goes_on_when_it_is_there(
    process: str, empty_database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service, open_process = PROCESSES[process]
    health, public = (f"127.0.0.1:{free_port()}" for _ in range(2))
    environment = environment_of(
        service, database_url=empty_database, folder=tmp_path, health_address=health, public_address=public
    )
    settings = load_settings(SETTINGS[service], prefix=f"{service.upper()}_", environment=environment)
    stopped = asyncio.Event()

    async def run() -> None:
        async with open_process(settings):
            await stopped.wait()

    running = asyncio.create_task(run())
    async with probing(health) as probe:
        assert await probe(EVERYTHING) == NOT_SERVING
        assert await probe(LIVE) == SERVING
        await _until(lambda: _said(caplog))
        with psycopg.connect(empty_database) as connection:
            assert connection.execute(OWN_SESSIONS).fetchall() == []
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*public.split(":"))

        await asyncio.to_thread(migrate, empty_database, service=service)

        async def is_serving() -> bool:
            return bool(await probe(EVERYTHING) == SERVING)

        await _until(is_serving)
        stopped.set()
        await running
    waits = [record.getMessage() for record in caplog.records if "waiting" in record.getMessage()]
    assert (
        waits[0]
        == f"waiting: the database has no schema yet; `python -m services.{service} migrate` makes it"
    )
    assert len(waits) == len(set(waits))


async def _said(caplog: pytest.LogCaptureFixture) -> bool:
    return any("waiting" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("change", "gap"),
    [
        ("SELECT", None),
        ("UPDATE alembic_version SET version_num = '9999'", None),
        (
            "UPDATE alembic_version SET version_num = '0001'",
            "the schema is at 0001 and this release needs {needed}; `python -m services.jobs migrate` brings it there",
        ),
        (
            "UPDATE alembic_version SET version_num = 'a1b2'",
            "the schema is at 'a1b2', which is not the number of a migration of jobs",
        ),
        (
            "DELETE FROM alembic_version",
            "the schema is at 0000 and this release needs {needed}; `python -m services.jobs migrate` brings it there",
        ),
    ],
)
async def test_a_schema_is_enough_from_the_number_that_the_release_needs(
    change: str, gap: str | None, make_database: MakeDatabase
) -> None:
    url = make_database("jobs")
    with psycopg.connect(url) as connection:
        connection.execute(change.encode())

    found = await find_gap(url, service="jobs")

    assert found == (gap and gap.format(needed=f"{newest_known('jobs'):04d}"))


async def test_a_database_that_cannot_be_reached_is_a_gap_without_its_password() -> None:
    gap = await find_gap("postgresql://jobs:of-the-tests@127.0.0.1:1/jobs", service="jobs")

    assert gap is not None
    assert gap.startswith("the database cannot be reached: ")
    assert "of-the-tests" not in gap


async def test_each_gap_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    gaps = iter(["a", "a", *["b"] * POLLS_FIRST, None])
    pauses: list[float] = []

    async def find() -> str | None:
        return next(gaps)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    await until_migrated(find, sleep=pause)

    assert pauses == [POLL_SECONDS_FIRST] * POLLS_FIRST + [POLL_SECONDS] * 2
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "waiting: a",
        "waiting: b",
    ]


@pytest.mark.parametrize("process", ["jobs api", "webhooks api"])
async def test_a_process_serves_customers_once_it_knows_whether_it_reaches_billing(
    process: str, make_database: MakeDatabase, tmp_path: Path
) -> None:
    service, open_process = PROCESSES[process]
    tried = asyncio.Event()

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.set()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as billing:
        environment = environment_of(
            service,
            database_url=make_database(service),
            folder=tmp_path,
            billing_target=f"127.0.0.1:{billing.sockets[0].getsockname()[1]}",
        )
        settings = load_settings(SETTINGS[service], prefix=f"{service.upper()}_", environment=environment)

        async with open_process(settings):
            assert tried.is_set()


def _start(service: str, process: str, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", f"services.{service}", process],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **environment,
        },
        stderr=subprocess.PIPE,
        text=True,
    )


def _line_of(process: "subprocess.Popen[str]", words: str) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended without saying {words!r}")


@pytest.mark.parametrize("service", ["billing", "jobs", "webhooks"])
def test_a_process_that_waits_stops_when_told_to(service: str, empty_database: str, tmp_path: Path) -> None:
    process = _start(service, "api", environment_of(service, database_url=empty_database, folder=tmp_path))
    try:
        _line_of(process, "waiting: the database has no schema yet")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0
    assert "Traceback" not in log


def test_wait_migrated_ends_when_the_schema_is_there(empty_database: str) -> None:
    process = _start("jobs", "wait-migrated", {"JOBS_DATABASE_URL": empty_database})
    try:
        _line_of(process, "waiting: the database has no schema yet")
        migrate(empty_database, service="jobs")
        process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0


def test_wait_migrated_gives_up_so_that_it_is_seen(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("services.common.process.set_up_logs", lambda _log_format: None)
    monkeypatch.setattr("services.common.process.WAIT_SECONDS_MAX", 0.05)

    code = run_service(
        "jobs",
        kind=JobsSettings,
        processes={},
        checks_of=jobs_checks,
        arguments=["wait-migrated"],
        environment={"JOBS_DATABASE_URL": empty_database},
    )

    assert code == 1
    assert "The schema is not there after" in capsys.readouterr().err
