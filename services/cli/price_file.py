"""Reads price files, such as `services/billing/prices.yaml`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from reelgate.internal.prices.v1.price_pb2 import Price

from services.cli.credit_amounts import parse_credits
from services.cli.errors import CommandError


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: str
    credits_per_second: dict[str, dict[str, dict[str, Annotated[str, AfterValidator(parse_credits)]]]]
    """By environment, model and resolution."""


@dataclass(frozen=True, kw_only=True)
class PriceFile:
    """A version of prices that is not set yet. Billing validates its names and amounts."""

    version: str
    prices: Sequence[Price]


def read_price_file(path: Path) -> PriceFile:
    """Reads a price file. Raises CommandError that says what is wrong in it."""
    try:
        # BaseLoader keeps every value as text: a price must never become a float.
        file = _File.model_validate(yaml.load(path.read_text(), Loader=yaml.BaseLoader))  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()]
        raise CommandError(f"{path} does not fit: {'; '.join(wrong)}") from error
    prices = [
        Price(model=model, resolution=resolution, environment=environment, micros_per_second=int(micros))
        for environment, models in file.credits_per_second.items()
        for model, rates in models.items()
        for resolution, micros in rates.items()
    ]
    return PriceFile(version=file.version, prices=prices)
