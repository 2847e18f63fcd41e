"""What every `python -m services.<service> PROCESS` does: choose a process, read the settings, run it to its end.

A process that serves loads nothing that only commands need.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeVar, cast

from psycopg.conninfo import conninfo_to_dict

from services.common.diagnosis.findings import Check
from services.common.event_loop import run_to_end
from services.common.postgres.schema import WAIT_SECONDS_MAX, find_gap, newest_known, until_migrated
from services.common.rpc.server import run_until_signalled
from services.common.settings import (
    DatabaseSettings,
    ServiceSettings,
    SettingsError,
    load_database_settings,
    load_settings,
)
from services.common.telemetry.exporting import exporting
from services.common.telemetry.exposition import exposed
from services.common.telemetry.logs import set_up_logs
from services.common.telemetry.process_metrics import process_measured

AnyService = TypeVar("AnyService", bound=ServiceSettings)

UNUSABLE = 2
"""Exit code for a wrong command or environment."""

CHECK = "check"

Open = Callable[[AnyService], AbstractAsyncContextManager[object]]
"""Opens a process for as long as the block lasts."""


def run_service(
    service: str,
    *,
    kind: type[AnyService],
    processes: Mapping[str, tuple[str, Open[AnyService]]],
    checks_of: Callable[[AnyService], Sequence[Check]],
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> int:
    """Runs one of the service's processes, a command about its database, or `check`, and returns the exit code.

    `processes` gives each name its purpose, for the usage text, and what opens it. Problems go to stderr, one a line.
    """
    if len(arguments) != 1 or arguments[0] not in (*processes, *_DATABASE_COMMANDS, CHECK):
        sys.stderr.write(_usage(service, {name: purpose for name, (purpose, _) in processes.items()}))
        return UNUSABLE
    prefix = f"{service.upper()}_"
    try:
        if arguments[0] in _DATABASE_COMMANDS:
            _, run = _DATABASE_COMMANDS[arguments[0]]
            return run(service, load_database_settings(prefix=prefix, environment=environment))
        load = partial(load_settings, kind, prefix=prefix, environment=environment)
        if arguments[0] == CHECK:
            from services.common.diagnosis.command import check

            return check(service, load=load, checks_of=checks_of)
        settings = load()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    _, open_process = processes[arguments[0]]

    async def start(stack: AsyncExitStack) -> None:
        # First, so that it closes last.
        await stack.enter_async_context(exporting(f"{service}-{arguments[0]}", settings.otlp_endpoint))
        await stack.enter_async_context(_telling(settings))
        await stack.enter_async_context(open_process(settings))

    try:
        run_until_signalled(start, log_format=settings.log_format)
    except SettingsError as error:
        sys.stderr.write(f"{prefix}{error}\n")
        return UNUSABLE
    return 0


@asynccontextmanager
async def _telling(settings: ServiceSettings) -> AsyncIterator[None]:
    """Exposes the metrics of this process. Raises SettingsError."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(exposed(settings.metrics_address))
        except OSError as error:
            raise SettingsError(
                f"METRICS_ADDRESS: cannot listen on {settings.metrics_address}: {error.strerror}"
            ) from error
        await stack.enter_async_context(process_measured())
        yield


def _migrate(service: str, settings: DatabaseSettings) -> int:
    from services.common.postgres.migrate import LockedError, migrate
    from services.common.postgres.runtime_role import RoleError

    role = cast("str | None", conninfo_to_dict(settings.database_url).get("user"))
    url = settings.migration_database_url
    if not url:
        sys.stderr.write(
            f"{service.upper()}_MIGRATION_DATABASE_URL is not set: the processes own the tables they write.\n"
        )
        url, role = settings.database_url, None
    try:
        number = migrate(url, service=service, runtime_role=role)
    except (RoleError, LockedError) as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    if number > newest_known(service):
        sys.stderr.write(
            f"The schema is at {number:04d}, which a newer release made. It serves this one too.\n"
        )
    return 0


def _wait_migrated(service: str, settings: DatabaseSettings) -> int:
    """Returns 0 once the schema is what this release needs, 1 if that takes longer than WAIT_SECONDS_MAX."""
    set_up_logs("text")
    try:
        run_to_end(_migrated_in_time(service, settings))
    except TimeoutError:
        sys.stderr.write(f"The schema is not there after {WAIT_SECONDS_MAX:.0f} s.\n")
        return 1
    return 0


async def _migrated_in_time(service: str, settings: DatabaseSettings) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await until_migrated(partial(find_gap, settings.database_url, service=service))


_DATABASE_COMMANDS: Mapping[str, tuple[str, Callable[[str, DatabaseSettings], int]]] = {
    "migrate": ("bring the database to the newest version, then end", _migrate),
    "wait-migrated": (
        "wait until the database has the version that this release needs, then end",
        _wait_migrated,
    ),
}


def _usage(service: str, purposes: Mapping[str, str]) -> str:
    commands = {name: purpose for name, (purpose, _) in _DATABASE_COMMANDS.items()}
    rows = {**purposes, **commands, CHECK: "look for what will not work, and say what to do"}
    lines = [f"  {name:<14} {purpose}" for name, purpose in rows.items()]
    return "\n".join([f"usage: python -m services.{service} PROCESS", "", *lines, ""])
