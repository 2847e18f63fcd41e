"""Settings of the simulator: environment variables that begin with SIMULATOR_."""

from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr

from services.common.egress.policy import Networks
from services.common.settings import Settings

PREFIX: Final = "SIMULATOR_"


class Mode(StrEnum):
    """What stands behind a finished task."""

    RENDER = "render"
    INSTANT = "instant"


class SimulatorSettings(Settings):
    """How the simulator runs."""

    host: str = "127.0.0.1"
    """Where it listens."""
    port: int = Field(default=0, ge=0, le=65535)
    """0 takes a free one."""
    api_key: SecretStr = Field(min_length=1)
    """The bearer that callers must send."""
    folder: Path | None = None
    """Tasks and videos; a temporary folder when unset."""
    public_url: str | None = None
    """What video addresses start with; its own by default."""
    mode: Mode = Mode.RENDER
    """`render`, or `instant` to serve a ready clip."""
    latency_seconds: float = Field(default=0, ge=0, le=3600)
    """How long an instant task runs."""
    media_folder: Path | None = None
    """Result files to serve as well, as the CDN before a bucket does; none when unset."""
    media_port: int = Field(default=0, ge=0, le=65535)
    """Where they are served; 0 takes a free one."""
    render_workers: int = Field(default=1, ge=1, le=64)
    """Videos rendered at the same time."""
    running_tasks_max: int = Field(default=10, ge=1)
    """In render mode; further tasks stay queued."""
    tasks_max: int = Field(default=5_000, ge=1)
    """Kept tasks; the oldest finished one makes room."""
    creates_per_minute_max: int = Field(default=0, ge=0)
    """More are answered 429; 0 is no limit."""
    private_targets_allowed: Networks = ()
    """Comma-separated CIDR blocks that reference images may be fetched from, and callbacks sent to, although they are
    not public."""
