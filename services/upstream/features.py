"""What a request asks of a provider, what a provider can do, and how the two are compared."""

from dataclasses import dataclass, fields
from typing import TypeVar

RESOLUTIONS = ("480p", "720p", "1080p")
ASPECT_RATIOS = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive")

PROMPT_CHARACTERS_MAX = 10_000
"""What either public contract takes."""
REFERENCES_MAX = 15
"""Of all kinds together, as either public contract takes them."""

Value = TypeVar("Value", str, int, bool)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What one request asks. Each field is named like the one of `Features` that answers it."""

    resolutions: str
    seconds: int
    aspect_ratios: str
    image_references: int
    video_references: int
    audio_references: int
    references: int
    """Of all kinds together."""
    start_frame: bool
    end_frame: bool
    audio: bool
    watermark: bool
    prompt_characters: int
    """As whoever counts most of them counts: in UTF-16, where an emoji is two."""
    seed: bool
    """Whether the customer named the seed. It never makes a request impossible: see `lacking`."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """What can be asked in one request. Any value may be combined with any other.

    A last frame is none of them: we take it from the video ourselves, whoever rendered it.
    """

    resolutions: frozenset[str]
    seconds: frozenset[int]
    """Of the finished video."""
    aspect_ratios: frozenset[str]
    image_references: int
    """The most that one request may have; 0 is none."""
    video_references: int
    audio_references: int
    references: int = REFERENCES_MAX
    """The most that one request may have of all kinds together."""
    start_frame: bool
    end_frame: bool
    audio: frozenset[bool]
    """Whether a video can have sound (True), can be without (False), or can be asked to be either."""
    watermark: frozenset[bool]
    """Whether a video can be marked (True), can be unmarked (False), or can be asked to be either."""
    prompt_characters: int = PROMPT_CHARACTERS_MAX
    """The most that a prompt may have."""
    seed: bool
    """Whether the same seed repeats a video."""

    def beyond(self, other: "Features") -> tuple[str, ...]:
        """Returns the names of the features that go beyond those of `other`; none if `other` can do all of it."""
        return tuple(
            each.name
            for each in fields(self)
            if not _covers(getattr(other, each.name), getattr(self, each.name))
        )


STRICT = tuple(each.name for each in fields(Asked) if each.name != "seed")
"""The features that a request cannot do without, in the order in which they are looked at."""


def characters(prompt: str) -> int:
    """Returns how long a prompt is for whoever counts most: in UTF-16, where an emoji is two characters."""
    return len(prompt.encode("utf-16-le")) // 2


def lacking(asked: Asked, features: Features) -> str | None:
    """Returns the name of the first asked feature that is not there, or None.

    A seed is not looked at: the public contracts accept one everywhere, so a route with seeds is only preferred.
    """
    return next(iter(all_lacking(asked, features)), None)


def all_lacking(asked: Asked, features: Features) -> tuple[str, ...]:
    """Returns the names of all asked features that are not there."""
    can, want = vars(features), vars(asked)
    return tuple(name for name in STRICT if not _holds(can[name], want[name]))


def _holds(can: frozenset[str] | frozenset[int] | int, want: str | int) -> bool:
    return want in can if isinstance(can, frozenset) else want <= can  # type: ignore[operator] # same kind by name


def _covers(wide: frozenset[Value] | int, narrow: frozenset[Value] | int) -> bool:
    return narrow <= wide  # type: ignore[operator] # same kind by name: False <= True, 2 <= 9, subset <= set
