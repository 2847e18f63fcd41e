"""Public models, their prices, and what is on offer at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.jobs.domain.routes import Choices


@dataclass(frozen=True, kw_only=True)
class Model:
    """A public model: what it can do, and on which contract."""

    id: str
    contract: str
    resolutions: tuple[str, ...]
    duration_seconds_min: int
    duration_seconds_max: int
    aspect_ratios: tuple[str, ...]
    capabilities: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one second costs from a moment on, in micro-credits, and the version of prices that says so."""

    version: str
    valid_from: datetime
    micros_per_second: int


@dataclass(frozen=True, kw_only=True)
class PriceList:
    """Prices of the present and the future, and those of the past that may still be needed."""

    prices: Mapping[tuple[str, str, str], Sequence[Price]]
    """By model, resolution and environment, oldest first."""

    def at(self, moment: datetime, *, model: str, resolution: str, environment: str) -> Price | None:
        """Returns the price that holds at a moment."""
        found = self.prices.get((model, resolution, environment), ())
        return next((price for price in reversed(found) if price.valid_from <= moment), None)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A model as a buyer can have it at one moment."""

    model: Model
    prices: Mapping[str, Price]
    """By resolution, at least one. A resolution without a price is not on offer."""
    choices: Choices
    """The routes that may render it for the buyer."""
