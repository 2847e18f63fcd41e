"""Routes: which model of which provider renders a public model, with whose credential, and at what cost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.upstream.features import STRICT, Asked, Features, all_lacking


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


class Callbacks(StrEnum):
    """What the callbacks of a credential's provider are to us."""

    VERIFIED = "verified"
    """Each proves who sent it."""
    HINTS = "hints"
    """They may come from anybody, and only wake the job."""
    NONE = "none"
    """There are none: its tasks are polled."""


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
    callbacks: Callbacks = Callbacks.NONE


SIMULATOR = "simulator"
"""The route, the credential and the key of the simulator, which no file names: it renders everything of `test`."""


@dataclass(frozen=True, kw_only=True)
class Lack:
    """What kept a request from every route, and what could be asked instead while the rest of it stays."""

    feature: str
    """The name of a feature."""
    possible: tuple[str | int, ...]
    """Values, or the most that is possible, of the routes that come closest."""


_PROMPT = "prompt_characters"
"""A feature with too many values to list, and few limits."""


class Choices:
    """The routes that a model has, in the order of their priority.

    They are indexed by what they can do, so that a question costs the same for one route and for fifty.
    """

    def __init__(self, every: Iterable[Choice]) -> None:
        self.every = tuple(sorted(every, key=lambda choice: choice.priority))
        self._all = (1 << len(self.every)) - 1
        self._index = tuple((name, self._holders(name)) for name in STRICT if name != _PROMPT)
        self._prompts = self._holders_by_limit(_PROMPT)
        self._seeding = self._holders("seed")[True]

    def can(self, asked: Asked) -> bool:
        """Returns whether a route has everything that is asked."""
        return bool(self._holding(asked))

    def able(self, asked: Asked) -> tuple[Choice, ...]:
        """Returns the routes that have everything that is asked; for a named seed those that take one, if there are any."""
        holding = self._holding(asked)
        if asked.seed:
            holding = holding & self._seeding or holding
        return tuple(choice for place, choice in enumerate(self.every) if holding >> place & 1)

    def lack(self, asked: Asked) -> Lack:
        """Returns what keeps a request from all routes. There must be routes, and none that is able."""
        lacks = [(all_lacking(asked, choice.route.features), choice.route.features) for choice in self.every]
        closest = min((names for names, _ in lacks), key=len)
        feature = closest[0]
        possible = {value for names, has in lacks if names == closest for value in _values(has, feature)}
        return Lack(feature=feature, possible=tuple(sorted(possible)))

    def _holding(self, asked: Asked) -> int:
        """Returns the routes that have everything that is asked, one bit each."""
        want, left = vars(asked), self._all
        for name, holders in self._index:
            left &= holders.get(want[name], 0)
        for most, holding in self._prompts:
            if asked.prompt_characters > most:
                left &= ~holding
        return left

    def _holders_by_limit(self, name: str) -> tuple[tuple[int, int], ...]:
        """Returns each limit that routes have for a feature, with those routes, one bit each."""
        limits: dict[int, int] = {}
        for place, choice in enumerate(self.every):
            most = getattr(choice.route.features, name)
            limits[most] = limits.get(most, 0) | 1 << place
        return tuple(limits.items())

    def _holders(self, name: str) -> Mapping[str | int, int]:
        """Returns for each value that can be asked of a feature the routes that have it, one bit each."""
        holders: dict[str | int, int] = {True: 0}
        for place, choice in enumerate(self.every):
            for value in _answers(choice.route.features, name):
                holders[value] = holders.get(value, 0) | 1 << place
        return holders


def _answers(features: Features, name: str) -> Iterable[str | int]:
    """Returns every value that can be asked of a feature."""
    has = getattr(features, name)
    return has if isinstance(has, frozenset) else range(has + 1)


def _values(features: Features, name: str) -> Iterable[str | int]:
    has = getattr(features, name)
    return has if isinstance(has, frozenset) else (has,)
