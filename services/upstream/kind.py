"""What an adapter says about itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.upstream.features import Features
from services.upstream.provider import Provider


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A provider that an adapter speaks to."""

    name: str
    base_url: str | None
    """Where its API is unless a credential says otherwise. None: every credential has to say."""
    open: Callable[..., Provider]
    """Takes `session`, `base_url` and `api_key`. What else it takes is for tests, and has a default."""
    features: Features
    """The most that the adapter can express for any model."""
    options: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What a route may ask beyond an order: values by name."""
    loads: bool = False
    """Whether `open` also takes `load`, because the provider wants the bytes of pictures and not their addresses."""
    callbacks: bool
    """Whether the provider calls back."""
    callback_headers: frozenset[str] = frozenset()
    """Names, in lower case, of the headers of a callback that prove who sent it."""
    takes_callback_secret: bool = False
    """Whether `open` also takes `callback_secret`, with which callbacks are verified. None: they are hints."""
