"""Routes: which model of which provider renders a public model, with whose credential, and at what cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.upstream.features import Features


@dataclass(frozen=True, kw_only=True)
class Route:
    """One way to have a model rendered."""

    name: str
    provider: str
    """The name of its kind in `services.upstream.registry`."""
    credential: str
    """The name of the credential that pays."""
    upstream_model: str
    """The provider's own name for the model."""
    features: Features
    options: Mapping[str, str] = field(default_factory=dict)
    """What orders ask beyond what customers can."""
    cost_micros_per_second: Mapping[str, int]
    """What the provider charges for a second of video, by resolution, in millionths of a US dollar."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A route as one model may use it."""

    route: Route
    priority: int
    """Routes of a lower number are used first."""
    weight: int
    """The share of a route among those of its priority."""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """An account at a provider, its keys, and how much may be asked of it."""

    name: str
    provider: str
    base_url: str
    keys: tuple[str, ...]
    """Names of its keys. The first one is used, unless an operator chose another."""
    jobs_at_once: int | None
    """Tasks that may be unfinished there at the same time. None: no limit of our own."""
    requests_per_minute: int | None
    """Orders that may be sent in any 60 seconds. None: no limit of our own."""


SIMULATOR = "simulator"
"""The route, the credential and the key of the simulator, which no file names: it renders everything of `test`."""
