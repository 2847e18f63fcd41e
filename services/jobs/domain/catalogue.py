"""Which models there are, and which routes render them for whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from services.jobs.domain.offers import Model
from services.jobs.domain.requests import Owner
from services.jobs.domain.routes import SIMULATOR, Choice, Choices, Credential, Route
from services.upstream.features import ASPECT_RATIOS, RESOLUTIONS, Asked, Features

Value = TypeVar("Value", str, int)
BOTH = frozenset({True, False})
SIMULATED = Choice(
    route=Route(
        name=SIMULATOR,
        provider=SIMULATOR,
        credential=SIMULATOR,
        # The one of its models that can do everything.
        upstream_model="dreamina-seedance-2-0-260128",
        features=Features(
            resolutions=frozenset(RESOLUTIONS),
            seconds=frozenset(range(1, 61)),
            aspect_ratios=frozenset(ASPECT_RATIOS),
            image_references=9,
            video_references=3,
            audio_references=3,
            start_frame=True,
            end_frame=True,
            audio=BOTH,
            watermark=BOTH,
            seed=True,
        ),
        cost_micros_per_second=dict.fromkeys(RESOLUTIONS, 0),
    ),
    priority=1,
    weight=1,
)
"""How everything of `test` is rendered. No file says so, and none can change it."""
ON_SIMULATOR = Choices([SIMULATED])

HELD_BY = {
    "image_reference": lambda has: has.image_references > 0,
    "video_reference": lambda has: has.video_references > 0,
    "audio_reference": lambda has: has.audio_references > 0,
    "first_and_last_frames": lambda has: has.start_frame and has.end_frame,
    "audio_generation": lambda has: True in has.audio,
    "watermark": lambda has: True in has.watermark,
    "last_frame": lambda _has: True,  # we take it from the video, whoever rendered it
}
"""What a route must have for each capability of a model."""


@dataclass(frozen=True, kw_only=True)
class AccountRoutes:
    """Which routes an account may use."""

    only: frozenset[str] | None = None
    """None: all."""
    never: frozenset[str] = frozenset()

    def allow(self, route: str) -> bool:
        """Returns whether the account may use a route."""
        return (self.only is None or route in self.only) and route not in self.never


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Which models there are, and which routes render them for whom."""

    models: tuple[Model, ...]
    """Strongest first."""
    routes: Mapping[str, Route]
    credentials: Mapping[str, Credential]
    choices_by_model: Mapping[str, tuple[Choice, ...]]
    accounts: Mapping[str, AccountRoutes]
    credit_value_micros: Mapping[str, int]
    """What a credit of a contract is worth, in millionths of a US dollar."""
    live_on_simulator: bool
    """Whether the simulator renders for `live` too, because nobody pays here."""

    def models_of(self, owner: Owner) -> tuple[Model, ...]:
        """Returns the models that an owner has a route for, each with what these can do and no more."""
        return self.models if self._simulates(owner) else self._lineup(owner.account_id)[0]

    def choices_of(self, model: str, owner: Owner) -> Choices:
        """Returns the routes of a model for an owner. One without any cannot do anything."""
        if self._simulates(owner):
            return ON_SIMULATOR
        return self._lineup(owner.account_id)[1].get(model, NO_CHOICES)

    def choices(self, model: str, owner: Owner, asked: Asked) -> tuple[Choice, ...]:
        """Returns the routes that have everything that a job asks, in the order of their priority."""
        return self.choices_of(model, owner).able(asked)

    def _simulates(self, owner: Owner) -> bool:
        return self.live_on_simulator or owner.environment != "live"

    def _lineup(self, account_id: str) -> "_Lineup":
        return self._lineups.get(account_id, self._lineup_of_all)

    @cached_property
    def _lineup_of_all(self) -> "_Lineup":
        return self._lined_up(AccountRoutes())

    @cached_property
    def _lineups(self) -> Mapping[str, "_Lineup"]:
        return {account_id: self._lined_up(routes) for account_id, routes in self.accounts.items()}

    def _lined_up(self, allowed: AccountRoutes) -> "_Lineup":
        choices = {
            model: Choices(choice for choice in every if allowed.allow(choice.route.name))
            for model, every in self.choices_by_model.items()
        }
        models = (narrowed(each, choices[each.id]) for each in self.models)
        return tuple(model for model in models if model is not None), choices


_Lineup = tuple[tuple[Model, ...], Mapping[str, Choices]]
NO_CHOICES = Choices(())


def narrowed(model: Model, choices: Choices) -> Model | None:
    """Returns a model with what at least one of the routes can do. None: it has no route that could do anything of it."""
    has = tuple(choice.route.features for choice in choices.every)
    resolutions = _held(model.resolutions, (each.resolutions for each in has))
    aspect_ratios = _held(model.aspect_ratios, (each.aspect_ratios for each in has))
    seconds = _held(
        range(model.duration_seconds_min, model.duration_seconds_max + 1), (each.seconds for each in has)
    )
    if not (resolutions and aspect_ratios and seconds):
        return None
    return replace(
        model,
        resolutions=resolutions,
        aspect_ratios=aspect_ratios,
        duration_seconds_min=seconds[0],
        duration_seconds_max=seconds[-1],
        capabilities=tuple(name for name in model.capabilities if any(map(HELD_BY[name], has))),
    )


def _held(values: Iterable[Value], several: Iterable[frozenset[Value]]) -> tuple[Value, ...]:
    held = frozenset[Value]().union(*several)
    return tuple(value for value in values if value in held)
