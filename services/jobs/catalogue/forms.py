"""The parts of the file, and what each key may hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from services.common.egress.urls import origin_of
from services.jobs.catalogue.amounts import usd_micros
from services.upstream.features import Features

SECONDS_MAX = 60
SETTINGS_PREFIX = "JOBS_"
ARK_KEY_VARIABLE = "JOBS_ARK_API_KEY"
"""The one setting that may hold a key. Other variables with this prefix are unknown settings."""


def _web_address(url: object) -> object:
    try:
        origin_of(str(url))
    except ValueError as error:
        raise ValueError(f"is no address ({error}); write one such as https://api.example.com/v1") from error
    return url


def _seconds(value: object) -> frozenset[int]:
    """Reads `{min: 4, max: 15}`, or a list of whole seconds."""
    try:
        if isinstance(value, Mapping) and set(value) == {"min", "max"}:
            found = frozenset(range(int(value["min"]), int(value["max"]) + 1))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            found = frozenset(map(int, value))
        else:
            raise TypeError
    except (TypeError, ValueError):
        raise ValueError(
            "are not whole seconds; write {min: 4, max: 15} or a list such as [4, 6, 8]"
        ) from None
    if not found or min(found) < 1 or max(found) > SECONDS_MAX:
        raise ValueError(f"are none, or not all from 1 to {SECONDS_MAX}; write {{min: 4, max: 15}}")
    return found


def _of_the_environment(name: object) -> object:
    if isinstance(name, str) and name.startswith(SETTINGS_PREFIX) and name != ARK_KEY_VARIABLE:
        raise ValueError(
            f"is {name}, which would be read as a setting; write another name, such as FAL_API_KEY"
        )
    return name


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Usd = Annotated[int, BeforeValidator(usd_micros)]
Seconds = Annotated[frozenset[int], BeforeValidator(_seconds)]
Count = Annotated[int, Field(ge=0, le=100)]
Capability = Literal[
    "image_reference", "video_reference", "audio_reference", "first_and_last_frames", "audio_generation",
    "watermark", "last_frame",
]  # fmt: skip
AccountId = Annotated[str, StringConstraints(pattern=r"^acct_[0-9a-hjkmnp-tv-z]{26}$")]


class Part(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretForm(Part):
    """Where a secret is. Exactly one of the two."""

    env: Annotated[
        str | None, BeforeValidator(_of_the_environment), StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")
    ] = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "SecretForm":
        if (self.env is None) == (self.file is None):
            raise ValueError("needs exactly one place; write env: NAME of a variable, or file: PATH")
        return self


class KeyForm(SecretForm):
    """Where a key is, and what it is called."""

    name: Name


class CredentialForm(Part):
    """An account at a provider."""

    provider: Name
    base_url: Annotated[Text, BeforeValidator(_web_address)] | None = None
    keys: Annotated[tuple[KeyForm, ...], Field(min_length=1)]
    callback_secret: SecretForm | None = None
    jobs_at_once: Annotated[int, Field(ge=1, le=100_000)] | None = None
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class FeaturesForm(Part):
    """What a route has. What is left out is what its provider can do at the most."""

    resolutions: Annotated[frozenset[Text], Field(min_length=1)] | None = None
    seconds: Seconds | None = None
    aspect_ratios: Annotated[frozenset[Text], Field(min_length=1)] | None = None
    image_references: Count | None = None
    video_references: Count | None = None
    audio_references: Count | None = None
    references: Count | None = None
    start_frame: bool | None = None
    end_frame: bool | None = None
    audio: Annotated[frozenset[bool], Field(min_length=1)] | None = None
    watermark: Annotated[frozenset[bool], Field(min_length=1)] | None = None
    prompt_characters: Annotated[int, Field(ge=1, le=100_000)] | None = None
    seed: bool | None = None

    def less_than(self, most: Features) -> Features:
        """Returns these features, and those of `most` where they say nothing."""
        said = {name: value for name, value in self if value is not None}
        return Features(**{**vars(most), **said})


class RouteForm(Part):
    """One way to have a model rendered."""

    credential: Name
    model: Text
    features: FeaturesForm = FeaturesForm()
    options: dict[Name, Text] = {}
    cost_usd_per_second: Annotated[dict[Text, Usd], Field(min_length=1)]


class ChoiceForm(Part):
    """A route as a model uses it."""

    route: Name
    priority: Annotated[int, Field(ge=1, le=1000)] = 1
    weight: Annotated[int, Field(ge=1, le=1000)] = 1


class DurationForm(Part):
    """How long a video may be."""

    min: Annotated[int, Field(ge=1, le=SECONDS_MAX)]
    max: Annotated[int, Field(ge=1, le=SECONDS_MAX)]

    @model_validator(mode="after")
    def _ordered(self) -> "DurationForm":
        if self.min > self.max:
            raise ValueError("has a min above its max; write the shorter one first")
        return self


class ModelForm(Part):
    """A public model."""

    contract: Literal["seedancee2", "nextapi"] = "seedancee2"
    resolutions: Annotated[tuple[Literal["480p", "720p", "1080p"], ...], Field(min_length=1)]
    duration_seconds: DurationForm
    aspect_ratios: Annotated[
        tuple[Literal["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"], ...], Field(min_length=1)
    ]
    capabilities: tuple[Capability, ...]
    routes: Annotated[tuple[ChoiceForm, ...], Field(min_length=1)]


class AccountForm(Part):
    """Which routes an account may use."""

    only: Annotated[frozenset[Name], Field(min_length=1)] | None = None
    never: frozenset[Name] = frozenset()


class FileForm(Part):
    """The whole file. Its parts are read one by one, so that all problems are found at once."""

    credit_value_usd: dict[Literal["seedancee2", "nextapi"], Usd] = {}
    credentials: Annotated[dict[str, Any], Field(min_length=1)]
    routes: Annotated[dict[str, Any], Field(min_length=1)]
    models: Annotated[dict[str, Any], Field(min_length=1)]
    accounts: dict[str, Any] = {}


KEYS: Mapping[type[Part], Mapping[tuple[str, ...], Sequence[str]]] = {
    FileForm: {(): tuple(FileForm.model_fields)},
    CredentialForm: {
        (): tuple(CredentialForm.model_fields),
        ("keys", "*"): ("name", *SecretForm.model_fields),
        ("callback_secret",): tuple(SecretForm.model_fields),
    },
    RouteForm: {
        (): tuple(RouteForm.model_fields),
        ("features",): tuple(FeaturesForm.model_fields),
    },
    ModelForm: {
        (): tuple(ModelForm.model_fields),
        ("routes", "*"): tuple(ChoiceForm.model_fields),
        ("duration_seconds",): tuple(DurationForm.model_fields),
    },
    AccountForm: {(): tuple(AccountForm.model_fields)},
}
"""The keys that each part of the file may have, by their place in it; `*` is any item of a list."""
