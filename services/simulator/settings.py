"""Settings of the simulator: environment variables that begin with SIMULATOR_."""

from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr

from services.common.egress.policy import Networks
from services.common.settings import Settings

PREFIX: Final = "SIMULATOR_"


class Mode(StrEnum):
    """How the video of a finished task is made."""

    RENDER = "render"
    INSTANT = "instant"


class SimulatorSettings(Settings):
    """How the simulator runs."""

    host: str = "127.0.0.1"
    """Where it listens."""
    port: int = Field(default=0, ge=0, le=65535)
    """Port; 0 takes a free one."""
    api_key: SecretStr = Field(min_length=1)
    """The bearer token that callers must send."""
    folder: Path | None = None
    """Folder for tasks and videos; a temporary folder by default."""
    public_url: str | None = None
    """What video addresses start with; its own address by default."""
    mode: Mode = Mode.RENDER
    """`render`, or `instant` to serve a ready clip."""
    latency_seconds: float = Field(default=0, ge=0, le=3600)
    """How long an instant task runs."""
    media_folder: Path | None = None
    """Folder of result files to serve as well, like a CDN in front of a bucket; none by default."""
    media_port: int = Field(default=0, ge=0, le=65535)
    """Port for these files; 0 takes a free one."""
    media_url_secret: SecretStr | None = None
    """The JOBS_MEDIA_URL_SECRET of who signs addresses of uploads. None: no files are taken."""
    media_signed: bool = False
    """Whether result files are served only at addresses that were signed with this secret: see `JOBS_MEDIA_URL_SECONDS`."""
    render_workers: int = Field(default=1, ge=1, le=64)
    """Videos rendered at the same time."""
    running_tasks_max: int = Field(default=10, ge=1)
    """Tasks that run at once in render mode; further ones stay queued."""
    tasks_max: int = Field(default=5_000, ge=1)
    """Tasks that are kept; a new one replaces the oldest finished one."""
    creates_per_minute_max: int = Field(default=0, ge=0)
    """Creations above this number are answered 429; 0 is no limit."""
    private_targets_allowed: Networks = ()
    """Comma-separated CIDR blocks that reference images may be fetched from, and callbacks sent to, although they are
    not public."""
