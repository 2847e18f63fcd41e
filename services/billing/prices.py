"""The price file: a version of prices that every billing process loads at its start."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.billing.domain import NewPrices, Price
from services.common.audit.note import AuditNote
from services.common.money import MICROS_PER_CREDIT

Name = Annotated[str, Field(min_length=1, max_length=64)]
# The range and the step, one micro-credit, of the integer that a rate becomes.
Rate = Annotated[Decimal, Field(gt=0, le=1_000_000, decimal_places=6)]
Rates = Annotated[dict[Literal["480p", "720p", "1080p"], Rate], Field(min_length=1)]
RatesByModel = Annotated[dict[Name, Rates], Field(min_length=1, max_length=150)]


class PriceFileError(Exception):
    """The price file is not valid. The message has one line for each problem: `place: what is wrong`."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Name
    credits_per_second: Annotated[dict[Literal["live", "test"], RatesByModel], Field(min_length=1)]


def load_prices(path: Path) -> NewPrices:
    """Returns the version of prices in a file, which applies from the moment it is stored. Raises PriceFileError."""
    try:
        # Every value stays text, so that no price ever becomes a float.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - builds text only
        file = _File.model_validate(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PriceFileError(f"{path}: {error}") from error
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()]
        raise PriceFileError("\n".join(problems)) from None
    return NewPrices(
        version=file.version,
        valid_from=None,
        prices=tuple(
            Price(
                model=model,
                resolution=resolution,
                environment=environment,
                micros_per_second=int(rate * MICROS_PER_CREDIT),
            )
            for environment, models in file.credits_per_second.items()
            for model, rates in models.items()
            for resolution, rate in rates.items()
        ),
        note=AuditNote(actor="billing", reason=f"first start with {path.name}"),
    )
