"""A creation looks the prices of its own model up, however many models there are."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from typing_extensions import override

from services.common.errors import ServiceError
from services.jobs.domain.offers import Price, PriceList
from services.jobs.operations.models import offer_at, offers_at
from tests.unit.jobs.samples import BUYER, CATALOGUE, PRICES

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Watched(dict[tuple[str, str, str], Sequence[Price]]):
    """Prices that remember which models were looked up."""

    def __init__(self) -> None:
        super().__init__(PRICES.prices)
        self.asked: set[str] = set()

    @override
    def get(self, key: tuple[str, str, str], default: object = None) -> object:  # type: ignore[override]
        self.asked.add(key[0])
        return super().get(key, default)


@pytest.mark.parametrize("model", [each.id for each in CATALOGUE.models if each.contract == "seedancee2"])
def test_no_other_model_is_priced(model: str) -> None:
    watched = Watched()

    offer = offer_at(NOW, model, buyer=BUYER, catalogue=CATALOGUE, prices=PriceList(prices=watched))

    assert watched.asked == {model}
    assert offer in offers_at(NOW, buyer=BUYER, catalogue=CATALOGUE, prices=PRICES)


def test_a_refusal_names_all_that_could_be_used() -> None:
    usable = [each.model.id for each in offers_at(NOW, buyer=BUYER, catalogue=CATALOGUE, prices=PRICES)]

    with pytest.raises(ServiceError) as refused:
        offer_at(NOW, "none", buyer=BUYER, catalogue=CATALOGUE, prices=PRICES)

    assert refused.value.message == f'There is no model "none". Use one of: {", ".join(usable)}.'
