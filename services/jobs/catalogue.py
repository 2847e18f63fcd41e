"""The catalogue file: which models there are, what they can do, and what providers call them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.jobs.domain.offers import Catalogue, Model

UpstreamNames = Mapping[str, Mapping[str, str]]
"""By public model, then by provider: what the provider calls the model."""

Name = Annotated[str, Field(min_length=1, max_length=128)]
Capability = Literal[
    "image_reference", "video_reference", "audio_reference", "first_and_last_frames", "audio_generation",
    "watermark", "last_frame",
]  # fmt: skip


class CatalogueError(Exception):
    """The catalogue does not fit. The message has one line for each problem: `place: what is wrong`."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Seconds(_Part):
    min: Annotated[int, Field(ge=1)]
    max: Annotated[int, Field(ge=1, le=60)]

    @model_validator(mode="after")
    def _ordered(self) -> "_Seconds":
        if self.min > self.max:
            raise ValueError("min is more than max")
        return self


class _Model(_Part):
    contract: Literal["seedancee2", "nextapi"] = "seedancee2"
    resolutions: Annotated[tuple[Literal["480p", "720p", "1080p"], ...], Field(min_length=1)]
    duration_seconds: _Seconds
    aspect_ratios: Annotated[
        tuple[Literal["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"], ...], Field(min_length=1)
    ]
    capabilities: tuple[Capability, ...]
    upstream: Annotated[dict[Name, Name], Field(min_length=1)]


class _File(_Part):
    models: Annotated[dict[Name, _Model], Field(min_length=1)]


def load_catalogue(path: Path) -> tuple[Catalogue, UpstreamNames]:
    """Reads the models, and the providers' names for them. Raises CatalogueError."""
    try:
        # Every value stays text, so that no ratio becomes a number in base 60.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - builds text only
        file = _File.model_validate(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogueError(f"{path}: {error}") from error
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()]
        raise CatalogueError("\n".join(problems)) from None
    catalogue = tuple(_model(name, described) for name, described in file.models.items())
    return catalogue, {name: described.upstream for name, described in file.models.items()}


def _model(name: str, described: _Model) -> Model:
    return Model(
        id=name,
        contract=described.contract,
        resolutions=described.resolutions,
        duration_seconds_min=described.duration_seconds.min,
        duration_seconds_max=described.duration_seconds.max,
        aspect_ratios=described.aspect_ratios,
        capabilities=described.capabilities,
    )
