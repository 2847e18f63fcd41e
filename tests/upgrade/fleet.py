"""The processes of one release: billing, webhooks, the api and the worker of jobs."""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from services.devstack.readiness import answers
from tests.conftest import free_port
from tests.patience import PATIENCE_SECONDS
from tests.upgrade.balancer import Balancer

NOTICE_SECONDS = 6.0
"""Until the edge has asked twice for the health of a process that stops."""
PROCESSES = (("billing", "api"), ("webhooks", "all"), ("jobs", "api"), ("jobs", "worker"))
SETTING_PREFIXES = ("BILLING_", "WEBHOOKS_", "JOBS_", "EDGE_", "SIMULATOR_", "MCP_")


@dataclass(frozen=True, kw_only=True)
class Site:
    """What all releases share."""

    folder: Path
    """With `tls`, `media` and the logs."""
    databases: Mapping[str, str]
    owners: Mapping[str, str]
    """The databases, for the owner of their tables."""
    common: Mapping[str, str]
    """Settings of every service, without their prefix."""
    own: Mapping[str, Mapping[str, str]]
    """Settings of each service."""


def python_environment(source: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment in which Python finds the code in `source`, and these settings alone."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(SETTING_PREFIXES)}
    return {**inherited, "PYTHONPATH": f"{source}{os.pathsep}{source / 'gen'}", **settings}


async def run(
    source: Path, *arguments: str, settings: Mapping[str, str], log: Path
) -> asyncio.subprocess.Process:
    """Starts a module of a release."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments, cwd=source, env=python_environment(source, settings), stdout=output, stderr=output
        )  # fmt: skip


async def end(process: asyncio.subprocess.Process) -> None:
    """Kills a process unless it has ended."""
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


async def until_answering(process: asyncio.subprocess.Process, address: str, log: Path) -> None:
    """Returns once an address answers. Raises AssertionError with the log when the process ends before."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await answers(address):
            assert process.returncode is None, _end_of(log)
            await asyncio.sleep(0.1)


@dataclass
class Fleet:
    """Running processes of one release, and the addresses at which it calls its neighbours."""

    name: str
    source: Path
    site: Site
    neighbours: Mapping[str, Balancer]
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    def address(self, process: str, port: str) -> str:
        """Returns `host:port` of a port of a process, such as `jobs api`. It stays when the process starts again."""
        return f"127.0.0.1:{self.ports.setdefault(f'{process} {port}', free_port())}"

    async def migrate(self) -> None:
        """Brings all databases to the version of this release."""
        for service in self.site.databases:
            process = await run(
                self.source,
                f"services.{service}",
                "migrate",
                settings=self._settings(service, "migrate"),
                log=self._log("migrate"),
            )
            assert await process.wait() == 0, _end_of(self._log("migrate"))

    async def start(self) -> None:
        """Starts all processes, and returns when they are ready."""
        await asyncio.gather(*(self._start(service, role) for service, role in PROCESSES))

    async def stop(self, *services: str) -> None:
        """Stops the processes of services as a cluster does, and returns when they have ended, without an error."""
        stopping = {name: process for name, process in self.running.items() if name.split()[0] in services}
        for name, process in stopping.items():
            died = f"{self.name} {name} ended with {process.returncode}: {_end_of(self._log(name))}"
            assert process.returncode is None, died
            process.terminate()
        for name, process in stopping.items():
            async with asyncio.timeout(PATIENCE_SECONDS):
                code = await process.wait()
            assert code == 0, f"{self.name} {name} ended with {code}: {_end_of(self._log(name))}"
            del self.running[name]

    async def kill(self) -> None:
        """Ends whatever still runs."""
        for process in self.running.values():
            await end(process)
        self.running.clear()

    async def _start(self, service: str, role: str) -> None:
        name = f"{service} {role}"
        log = self._log(name)
        process = await run(
            self.source, f"services.{service}", role, settings=self._settings(service, role), log=log
        )
        self.running[name] = process
        await until_answering(process, f"grpc://{self.address(name, 'health')}", log)

    def _settings(self, service: str, role: str) -> dict[str, str]:
        name = f"{service} {role}"
        settings = {
            **self.site.common,
            **self.site.own[service],
            "DATABASE_URL": self.site.databases[service],
            "MIGRATION_DATABASE_URL": self.site.owners[service],
            "TLS_FOLDER": str(self.site.folder / "tls" / service),
            "PUBLIC_ADDRESS": self.address(name, "public"),
            "ADMIN_ADDRESS": self.address(name, "admin"),
            "HEALTH_ADDRESS": self.address(name, "health"),
            "NOTICE_SECONDS": str(NOTICE_SECONDS),
        }
        if service != "jobs":
            settings["INTERNAL_ADDRESS"] = self.address(name, "internal")
        if service != "billing":
            settings["BILLING_TARGET"] = self.neighbours["billing"].address
        if service == "jobs":
            settings["WEBHOOKS_TARGET"] = self.neighbours["webhooks"].address
        if (self.source / "services" / "common" / "telemetry" / "exposition.py").exists():
            settings["METRICS_ADDRESS"] = "127.0.0.1:0"
        return {f"{service.upper()}_{key}": value for key, value in settings.items()}

    def _log(self, name: str) -> Path:
        return self.site.folder / f"{self.name}-{name.replace(' ', '-')}.log"
