import os
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "SIMULATOR_"


class Mode(StrEnum):
    """What stands behind a finished task."""

    RENDER = "render"
    INSTANT = "instant"


class SimulatorSettings(BaseSettings):
    """How the simulator runs, from the environment; an unknown SIMULATOR_ name is refused."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid"
    )

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535, description="0 takes a free one.")
    api_key: SecretStr = Field(min_length=1, description="The bearer that callers must send.")
    folder: Path | None = Field(default=None, description="Tasks and videos; a temporary folder when unset.")
    public_url: str | None = Field(
        default=None, description="What video addresses start with; its own by default."
    )
    mode: Mode = Mode.RENDER
    latency_seconds: float = Field(default=0, ge=0, le=3600, description="How long an instant task runs.")
    render_workers: int = Field(default=1, ge=1, le=64)
    running_tasks_max: int = Field(default=10, ge=1, description="In render mode; further tasks stay queued.")
    tasks_max: int = Field(default=5_000, ge=1, description="Kept tasks; the oldest finished one makes room.")
    creates_per_minute_max: int = Field(default=0, ge=0, description="More are answered 429; 0 is no limit.")

    @model_validator(mode="before")
    @classmethod
    def _show_unknown_names(cls, values: dict[str, Any]) -> dict[str, Any]:
        unknown = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in cls.model_fields
        }
        return {**values, **unknown}
