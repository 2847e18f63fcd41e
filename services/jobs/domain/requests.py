"""What a customer asks for, and who asks: inputs, owners, keys and their caps."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from services.jobs.domain.uploads import UploadUse
from services.upstream.features import Asked, characters


@dataclass(frozen=True, kw_only=True)
class JobInput:
    """What to render, every default resolved."""

    prompt: str
    duration_seconds: int
    resolution: str
    aspect_ratio: str
    generate_audio: bool
    watermark: bool
    return_last_frame: bool
    seed: int
    image_urls: tuple[str, ...] = ()
    video_urls: tuple[str, ...] = ()
    audio_urls: tuple[str, ...] = ()
    start_image_url: str | None = None
    end_image_url: str | None = None

    def asked(self, *, names_seed: bool) -> Asked:
        """Returns what it asks of a provider. `names_seed`: whether the seed is the customer's own."""
        return Asked(
            resolutions=self.resolution,
            seconds=self.duration_seconds,
            aspect_ratios=self.aspect_ratio,
            image_references=len(self.image_urls),
            video_references=len(self.video_urls),
            audio_references=len(self.audio_urls),
            references=len(self.image_urls) + len(self.video_urls) + len(self.audio_urls),
            start_frame=self.start_image_url is not None,
            end_frame=self.end_image_url is not None,
            audio=self.generate_audio,
            watermark=self.watermark,
            prompt_characters=characters(self.prompt),
            seed=names_seed,
        )


def without_content(wanted: JobInput) -> JobInput:
    """Returns what was to be rendered without what its customer said and referred to."""
    return replace(
        wanted,
        prompt="",
        image_urls=(),
        video_urls=(),
        audio_urls=(),
        start_image_url=None,
        end_image_url=None,
    )


FieldName = Callable[[str], str]
"""Returns what the sender of a request calls a field of NewJob or JobInput."""


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A request as parsed: which model, what to render, and where to send events."""

    model: str
    input: JobInput
    callback_url: str | None
    metadata_json: str | None
    """The customer's object as compact JSON."""
    field_name: FieldName = str
    """For refusals. By default a field is called as it is here."""
    moderation_profile: str | None = None
    """None: that of the account."""
    uploads: tuple[UploadUse, ...] = ()
    """References that name files which its sender has uploaded."""
    reference_fields: tuple[str, ...] = ()
    """Where each reference stands in the request, in the order that providers get them."""
    names_seed: bool = False
    """Whether the seed is the customer's own."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose jobs: an account in one environment, on one contract."""

    account_id: str
    environment: str
    contract: str


@dataclass(frozen=True, kw_only=True)
class Caps:
    """How many jobs may be at providers at once."""

    account_jobs: int
    """Of the account, in one environment."""
    key_jobs: int

    @property
    def unfinished_jobs(self) -> int:
        """How many of the account in one environment may be unfinished: at providers, or waiting for a place."""
        return UNFINISHED_PER_PLACE * self.account_jobs


UNFINISHED_PER_PLACE = 10
CAPS_DEFAULT = Caps(account_jobs=100, key_jobs=100)


@dataclass(frozen=True, kw_only=True)
class Buyer:
    """Who asks: an owner, by one of its keys."""

    owner: Owner
    key_id: str
    models_allowed: tuple[str, ...]
    """What the key may use. Empty: every model."""
    caps: Caps = CAPS_DEFAULT
    moderation_profile: str = ""
    """What holds unless a request chooses another. Empty: that of the configuration."""
    moderation_profiles: tuple[str, ...] = ()
    """What a request may choose besides."""
