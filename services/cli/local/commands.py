"""Commands that start, stop and show a local stack."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from services.cli.options import DATA_DEFAULT, AsJson, Data, admin_target
from services.cli.printing import print_json, print_table
from services.cli.stalled import stalled_line
from services.common.extras import needs_extra
from services.devstack.errors import StackError
from services.devstack.folder import StackFolder
from services.devstack.log_files import tail
from services.devstack.state import NOTHING_RUNS, StackState, require_running, running_state

if TYPE_CHECKING:
    from reelgate.admin.v1.job_admin_service_pb2 import ListUnfinishedJobsResponse as Stalled


PROGRAM = (sys.executable, "-m", "services.cli")


class SimulatorMode(StrEnum):
    """Whether the simulator renders videos."""

    RENDER = "render"
    INSTANT = "instant"


class LogFormat(StrEnum):
    """How processes write their logs."""

    TEXT = "text"
    JSON = "json"


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    for command in (up, down, status, logs, migrate):
        app.command()(command)


def up(
    data: Data = DATA_DEFAULT,
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything is ready.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the edge on 127.0.0.1; 0 takes a free one.")
    ] = 8080,
    simulator_mode: Annotated[
        SimulatorMode, typer.Option(help="Render videos, or serve a ready-made clip.")
    ] = SimulatorMode.RENDER,
    simulator_latency: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds that a task takes in instant mode.")
    ] = 0.0,
    otlp_endpoint: Annotated[
        str, typer.Option(metavar="URL", help="Trace everything, to the collector at http://HOST:PORT.")
    ] = "",
    log_format: Annotated[LogFormat, typer.Option(help="How processes write their logs.")] = LogFormat.TEXT,
) -> None:
    """Start everything on this machine and keep it running."""
    _require_stack()
    folder = StackFolder(data)
    started = time.monotonic()

    def announce(state: StackState) -> None:
        from services.cli.local.announcement import announcement, own_command

        stop = f"{own_command()} down --data {data}" if detach else "Ctrl-C"
        typer.echo(announcement(state, folder=folder, seconds=time.monotonic() - started, stop=stop))

    if detach:
        from services.devstack.detached import start_detached

        options = {"data": data, "port": port, "simulator-mode": simulator_mode.value}
        options["simulator-latency"] = simulator_latency
        options |= {"otlp-endpoint": otlp_endpoint, "log-format": log_format.value}
        given = [f"--{name}={value}" for name, value in options.items()]
        announce(start_detached(folder, [*PROGRAM, "up", *given]))
        return
    from services.cli.local import operator
    from services.devstack.stack import UpOptions, run_stack

    up_options = UpOptions(
        folder=folder,
        port=port,
        simulator_mode=simulator_mode.value,
        simulator_latency_seconds=simulator_latency,
        otlp_endpoint=otlp_endpoint,
        log_format=log_format.value,
        program=PROGRAM,
        open_demo_account=partial(operator.open_demo_account, root=data),
        attend=partial(operator.log_stalled_jobs, root=data),
    )
    run_stack(up_options, announce=announce)


def _require_stack() -> None:
    with needs_extra("stack"):
        from services.devstack.postgres import binary

        binary("postgres")


def down(data: Data = DATA_DEFAULT) -> None:
    """Stop the stack on a data folder."""
    from services.devstack.detached import stop_stack

    stopped = stop_stack(data)
    typer.echo(f"Stopped the stack on {data}." if stopped else f"No stack runs on {data}.")


def status(
    check: Annotated[bool, typer.Option("--check", help="Also exit with 1 if jobs do not move.")] = False,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show what runs, and where, how many jobs do not move, and which credentials are out of use. Exits with 0 if the stack is ready, otherwise with 1."""
    state = running_state(data)
    is_ready = state is not None and state.ready
    stalled = _stalled(data) if is_ready else None
    refused_count = _refused_count(data) if is_ready else None
    out = _credentials_out(data) if is_ready else None
    if as_json:
        print_json(
            {
                **(NOTHING_RUNS if state is None else asdict(state)),
                "stalled": None if stalled is None else _plain(stalled),
                "refused_events": refused_count,
                "credentials_out": out,
            }
        )
    elif state is None:
        typer.echo(f"No stack runs on {data}. Start one with `reelgate up`.")
    else:
        _print_status(state, stalled, refused_count, out or {})
    if state is None or not state.ready or (check and stalled is not None and stalled.stalled_count):
        raise typer.Exit(1)


def _stalled(data: Path) -> "Stalled | None":
    from services.cli.admin.jobs import stalled_jobs
    from services.common.errors import ServiceError

    try:
        return asyncio.run(stalled_jobs(jobs=admin_target(None, service="jobs", root=data)))
    except ServiceError:
        return None  # the service stopped after the state said it was ready


def _plain(stalled: "Stalled") -> dict[str, object]:
    return {"count": stalled.stalled_count, "longest": stalled.jobs[0] if stalled.jobs else None}


def _refused_count(data: Path) -> int | None:
    from services.cli.admin.events import list_refused_events
    from services.common.errors import ServiceError

    try:
        target = admin_target(None, service="jobs", root=data)
        return asyncio.run(list_refused_events(events_max=1, jobs=target)).refused_count
    except ServiceError:
        return None  # as above


def _credentials_out(data: Path) -> dict[str, str] | None:
    """Returns why each credential is out of use that is."""
    from services.cli.admin.routes import list_credentials
    from services.common.errors import ServiceError

    try:
        listed = asyncio.run(list_credentials(jobs=admin_target(None, service="jobs", root=data)))
    except ServiceError:
        return None  # as above
    return {each.name: each.out_reason for each in listed if each.HasField("out_reason")}


def _print_status(
    state: StackState, stalled: "Stalled | None", refused_count: int | None, out: Mapping[str, str]
) -> None:
    typer.echo(f"{'Ready' if state.ready else 'Not ready'}: {state.edge}")
    for service, addresses in state.grpc.items():
        typer.echo(f"{service}: " + ", ".join(f"{port} {address}" for port, address in addresses.items()))
    if state.metrics:
        typer.echo("metrics: " + ", ".join(f"{name} {address}" for name, address in state.metrics.items()))
    for service, url in state.database.items():
        typer.echo(f"{service}: {_without_password(url)}")
    rows = [
        (entry.name, str(entry.pid), str(entry.port), str(entry.restarts), "yes" if entry.ready else "no")
        for entry in state.processes
    ]
    print_table(("process", "pid", "port", "restarts", "ready"), rows)
    if stalled is not None:
        typer.echo(stalled_line(stalled))
    if refused_count:
        typer.echo(f"Events that webhooks refuses: {refused_count:,}; see `reelgate event list`")
    if out:
        names = ", ".join(f"{name} ({reason})" for name, reason in out.items())
        typer.echo(f"Credentials out of use: {names}; see `reelgate credential list`")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}").geturl()


def logs(
    name: Annotated[str, typer.Argument(help="Process, such as `jobs-api`.")], data: Data = DATA_DEFAULT
) -> None:
    """Show the end of a process's log."""
    path = StackFolder(data).logs / f"{name}.log"
    if not path.is_file():
        known = ", ".join(sorted(log.stem for log in path.parent.glob("*.log"))) or "none yet"
        raise StackError(f"There is no log of {name!r} in {path.parent}; there are: {known}.")
    typer.echo(tail(path))


def _database(service: str) -> object:
    return typer.Option(
        f"--{service}",
        envvar=f"{service.upper()}_DATABASE_URL",
        metavar="URL",
        help=f"Database of {service}.",
    )


def _given(service: str, url: str) -> tuple[str, str | None]:
    """Returns the address to migrate with, and the role of the service if it is another one."""
    owner_url = os.environ.get(f"{service.upper()}_MIGRATION_DATABASE_URL")
    return (owner_url, urlsplit(url).username) if owner_url else (url, None)


def _of_stack(data: Path) -> dict[str, tuple[str, str | None]]:
    from services.devstack.processes import cluster

    state = require_running(data)
    [port] = [process.port for process in state.processes if process.name == "postgres"]
    owner = cluster(StackFolder(data), port)
    return {service: (owner.url(service), service) for service in state.database}


def migrate(
    billing: Annotated[str | None, _database("billing")] = None,
    webhooks: Annotated[str | None, _database("webhooks")] = None,
    jobs: Annotated[str | None, _database("jobs")] = None,
    data: Data = DATA_DEFAULT,
) -> None:
    """Bring databases to the newest version: the given ones, or all of the local stack.

    If another role owns the tables, SERVICE_MIGRATION_DATABASE_URL is the database's address for that role.
    """
    with needs_extra("services"):
        from sqlalchemy.exc import SQLAlchemyError

        from services.common.postgres import migrate as migrations
        from services.common.postgres.runtime_role import RoleError

    named = {"billing": billing, "webhooks": webhooks, "jobs": jobs}
    given = {service: _given(service, url) for service, url in named.items() if url}
    for service, (url, runtime_role) in (given or _of_stack(data)).items():
        try:
            migrations.migrate(url, service=service, runtime_role=runtime_role)
        except (RoleError, migrations.LockedError) as error:
            raise StackError(f"{service} cannot be migrated: {error}") from error
        except SQLAlchemyError as error:
            raise StackError(f"{service} cannot be migrated: {str(error).splitlines()[0]}") from error
        typer.echo(f"{service}: newest version")
