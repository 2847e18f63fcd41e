"""The processes of a local stack, computed from its settings."""

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.devstack import postgres
from services.devstack.folder import MEDIA_PATH, StackFolder
from services.devstack.ports import LOOPBACK, Ports

DATABASES = ("billing", "webhooks", "jobs")
"""The services that own a database, in the order of their migrations."""
ROLES = (postgres.SUPERUSER, *DATABASES)
"""Roles of the PostgreSQL cluster: its superuser, and one per service, with the name of the service."""
PRIVATE_TARGETS_ALLOWED = "127.0.0.0/8,::1/128"
"""Callback and reference addresses on this machine: for a local stack only."""
ARK_API_PATH = "/api/v3"
"""Path of the provider's API in the simulator."""
PYTHON = (sys.executable, "-m")


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Settings of a local stack."""

    folder: StackFolder
    ports: Ports
    simulator_api_key: str
    simulator_mode: str
    simulator_latency_seconds: float
    otlp_endpoint: str = ""
    """The collector that gets the spans of everything. Empty: nothing is traced."""
    log_format: str = "text"

    @property
    def edge(self) -> str:
        """Address of the edge, without a path."""
        return f"http://{LOOPBACK}:{self.ports.edge}"


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """How one process starts, becomes ready and stops."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    port: int
    ready_at: Sequence[str]
    """Addresses that all answer once it is ready (see services.devstack.readiness)."""
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float
    """How long it may take to stop before it is killed."""
    loads_much: bool = True
    """Whether it uses most of what the services load. Otherwise it is smaller by itself than as a fork that shares it."""

    @property
    def words(self) -> Sequence[str] | None:
        """What follows `python -m`, if it is a module of ours that loads much."""
        is_module = tuple(self.argv[: len(PYTHON)]) == PYTHON
        return self.argv[len(PYTHON) :] if is_module and self.loads_much else None


def process_specs(settings: StackSettings) -> dict[str, ProcessSpec]:
    """Returns the processes of a stack by name."""
    specs = (
        _postgres(settings),
        _simulator(settings),
        _edge(settings),
        _billing(settings),
        _webhooks(settings),
        _jobs_api(settings),
        _jobs_worker(settings),
        _mcp(settings),
    )
    return {spec.name: spec for spec in specs}


def grpc_addresses(ports: Ports) -> dict[str, dict[str, str]]:
    """Returns `host:port` of the public, internal and admin ports, by service."""
    return {
        "billing": {
            "public": _local(ports.billing_public),
            "internal": _local(ports.billing_internal),
            "admin": _local(ports.billing_admin),
        },
        "webhooks": {
            "public": _local(ports.webhooks_public),
            "internal": _local(ports.webhooks_internal),
            "admin": _local(ports.webhooks_admin),
        },
        "jobs": {"public": _local(ports.jobs_public), "admin": _local(ports.jobs_admin)},
    }


def metrics_addresses(ports: Ports) -> dict[str, str]:
    """Returns `host:port` where Prometheus reads `/metrics`, by process."""
    return {
        "edge": _local(ports.edge_metrics),
        "billing": _local(ports.billing_metrics),
        "webhooks": _local(ports.webhooks_metrics),
        "jobs-api": _local(ports.jobs_metrics),
        "jobs-worker": _local(ports.worker_metrics),
    }


def database_addresses(settings: StackSettings) -> dict[str, str]:
    """Returns the database address of each service, for the role of its processes."""
    return {
        name: postgres.role_url(
            settings.ports.postgres, name, role=name, password=settings.folder.read_password(name)
        )
        for name in DATABASES
    }


def cluster(folder: StackFolder, port: int) -> postgres.Cluster:
    """Returns the cluster of a stack that listens on `port`."""
    return postgres.Cluster(port=port, password=folder.read_password(postgres.SUPERUSER))


def _postgres(settings: StackSettings) -> ProcessSpec:
    port = settings.ports.postgres
    return ProcessSpec(
        name="postgres",
        argv=postgres.command(settings.folder.postgres, port=port),
        environment={},
        port=port,
        ready_at=[cluster(settings.folder, port).url()],
        user=postgres.process_user(),
        stop_signal=signal.SIGINT,
        stop_seconds=2.5,
    )


def _simulator(settings: StackSettings) -> ProcessSpec:
    port, media_port = settings.ports.simulator, settings.ports.media
    return _python(
        "simulator",
        environment={
            "SIMULATOR_HOST": LOOPBACK,
            "SIMULATOR_PORT": str(port),
            "SIMULATOR_API_KEY": settings.simulator_api_key,
            "SIMULATOR_FOLDER": str(settings.folder.simulator),
            "SIMULATOR_MODE": settings.simulator_mode,
            "SIMULATOR_LATENCY_SECONDS": str(settings.simulator_latency_seconds),
            "SIMULATOR_MEDIA_FOLDER": str(settings.folder.media),
            "SIMULATOR_MEDIA_PORT": str(media_port),
            "SIMULATOR_MEDIA_URL_SECRET_FILE": str(settings.folder.media_url_secret),
            "SIMULATOR_PRIVATE_TARGETS_ALLOWED": PRIVATE_TARGETS_ALLOWED,
        },
        port=port,
        ready_at=[f"tcp://{_local(port)}", f"tcp://{_local(media_port)}"],
        stop_seconds=1.0,
    )


def _edge(settings: StackSettings) -> ProcessSpec:
    ports = settings.ports
    return _python(
        "edge",
        "run",
        str(settings.folder.edge_config),
        environment={
            "EDGE_LISTEN_ADDRESS": _local(ports.edge),
            "EDGE_ADMIN_ADDRESS": _local(ports.edge_admin),
            "EDGE_METRICS_ADDRESS": _local(ports.edge_metrics),
            "EDGE_JOBS_TARGETS": _local(ports.jobs_public),
            "EDGE_BILLING_TARGETS": _local(ports.billing_public),
            "EDGE_WEBHOOKS_TARGETS": _local(ports.webhooks_public),
            "EDGE_MEDIA_TARGETS": _local(ports.media),
            "EDGE_MEDIA_PATH": MEDIA_PATH,
            "EDGE_MCP_TARGETS": _local(ports.mcp),
            "EDGE_SITE_DIR": "shipped",
            # All customers of a local stack share one address.
            "EDGE_CONNECTIONS_PER_ADDRESS": "0",
            "EDGE_OTLP_ENDPOINT": settings.otlp_endpoint,
            "EDGE_TRACED_PERCENT": "100",
        },
        port=ports.edge,
        ready_at=[f"{settings.edge}/readyz"],
        stop_seconds=2.0,
    )


def _billing(settings: StackSettings) -> ProcessSpec:
    ports = settings.ports
    return _service(
        "billing",
        settings,
        environment={
            "BILLING_PUBLIC_ADDRESS": _local(ports.billing_public),
            "BILLING_INTERNAL_ADDRESS": _local(ports.billing_internal),
            "BILLING_ADMIN_ADDRESS": _local(ports.billing_admin),
            "BILLING_HEALTH_ADDRESS": _local(ports.billing_health),
            "BILLING_METRICS_ADDRESS": _local(ports.billing_metrics),
        },
        port=ports.billing_health,
    )


def _webhooks(settings: StackSettings) -> ProcessSpec:
    ports = settings.ports
    return _service(
        "webhooks",
        settings,
        environment={
            "WEBHOOKS_PUBLIC_ADDRESS": _local(ports.webhooks_public),
            "WEBHOOKS_INTERNAL_ADDRESS": _local(ports.webhooks_internal),
            "WEBHOOKS_ADMIN_ADDRESS": _local(ports.webhooks_admin),
            "WEBHOOKS_HEALTH_ADDRESS": _local(ports.webhooks_health),
            "WEBHOOKS_METRICS_ADDRESS": _local(ports.webhooks_metrics),
            "WEBHOOKS_BILLING_TARGET": _local(ports.billing_internal),
            "WEBHOOKS_SECRET_KEY_FILE": str(settings.folder.webhooks_secret_key),
            "WEBHOOKS_PRIVATE_TARGETS_ALLOWED": PRIVATE_TARGETS_ALLOWED,
        },
        port=ports.webhooks_health,
    )


def _jobs_api(settings: StackSettings) -> ProcessSpec:
    ports = settings.ports
    return _service(
        "jobs",
        settings,
        role="api",
        environment={
            **_of_jobs(settings),
            "JOBS_PUBLIC_ADDRESS": _local(ports.jobs_public),
            "JOBS_ADMIN_ADDRESS": _local(ports.jobs_admin),
            "JOBS_HEALTH_ADDRESS": _local(ports.jobs_health),
            "JOBS_METRICS_ADDRESS": _local(ports.jobs_metrics),
        },
        port=ports.jobs_health,
    )


def _jobs_worker(settings: StackSettings) -> ProcessSpec:
    """Apart from the api, so that no customer waits while it walks jobs and handles media."""
    ports = settings.ports
    return _service(
        "jobs",
        settings,
        role="worker",
        environment={
            **_of_jobs(settings),
            "JOBS_ADMIN_ADDRESS": _local(ports.worker_admin),
            "JOBS_HEALTH_ADDRESS": _local(ports.worker_health),
            "JOBS_METRICS_ADDRESS": _local(ports.worker_metrics),
        },
        port=ports.worker_health,
    )


def _mcp(settings: StackSettings) -> ProcessSpec:
    """Loads nothing before somebody uses MCP, so it is ready at once: to ask it would be to use it."""
    ports = settings.ports
    return _python(
        "mcp",
        "wait",
        environment={
            "MCP_LISTEN_ADDRESS": _local(ports.mcp),
            "MCP_JOBS_TARGET": _local(ports.jobs_public),
            "MCP_BILLING_TARGET": _local(ports.billing_public),
        },
        port=ports.mcp,
        ready_at=(),
        stop_seconds=1.0,
        loads_much=False,
    )


def _of_jobs(settings: StackSettings) -> dict[str, str]:
    ports = settings.ports
    return {
        "JOBS_BILLING_TARGET": _local(ports.billing_internal),
        "JOBS_WEBHOOKS_TARGET": _local(ports.webhooks_internal),
        "JOBS_MEDIA_STORE_URL": str(settings.folder.media),
        "JOBS_MEDIA_BASE_URL": settings.edge + MEDIA_PATH,
        "JOBS_MEDIA_URL_SECRET_FILE": str(settings.folder.media_url_secret),
        "JOBS_CALLBACK_BASE_URL": settings.edge,
        "JOBS_LIVE_PROVIDER": "simulator",
        "JOBS_SIMULATOR_BASE_URL": f"http://{_local(ports.simulator)}{ARK_API_PATH}",
        "JOBS_SIMULATOR_API_KEY_FILE": str(settings.folder.simulator_api_key),
        "JOBS_PRIVATE_TARGETS_ALLOWED": PRIVATE_TARGETS_ALLOWED,
    }


def _service(
    service: str, settings: StackSettings, *, role: str = "all", environment: Mapping[str, str], port: int
) -> ProcessSpec:
    prefix = f"{service.upper()}_"
    common = {
        f"{prefix}DATABASE_URL": database_addresses(settings)[service],
        f"{prefix}KEY_CHECKSUM_SECRETS_FILE": str(settings.folder.key_checksum_secrets),
        f"{prefix}TLS_FOLDER": str(settings.folder.tls / service),
        f"{prefix}REFLECTION": "true",
        f"{prefix}OTLP_ENDPOINT": settings.otlp_endpoint,
        f"{prefix}LOG_FORMAT": settings.log_format,
    }
    return _python(
        service,
        role,
        name=service if role == "all" else f"{service}-{role}",
        environment={**common, **environment},
        port=port,
        ready_at=[f"grpc://{_local(port)}"],
        stop_seconds=3.5,
    )


def _python(
    package: str,
    *arguments: str,
    name: str = "",
    environment: Mapping[str, str],
    port: int,
    ready_at: Sequence[str],
    stop_seconds: float,
    loads_much: bool = True,
) -> ProcessSpec:
    return ProcessSpec(
        name=name or package,
        argv=[*PYTHON, f"services.{package}", *arguments],
        environment=environment,
        port=port,
        ready_at=ready_at,
        stop_seconds=stop_seconds,
        loads_much=loads_much,
    )


def _local(port: int) -> str:
    return f"{LOOPBACK}:{port}"
