from collections import OrderedDict
from typing import Final

from services.simulator.orders import Order
from services.simulator.scenarios import Create

STORING: Final = frozenset({Create.FAILS_AFTER_STORING, Create.LOSES_ANSWER, Create.GARBLED})
KEY_COUNT_MAX: Final = 10_000


class Turns:
    """Decides whether a create misbehaves, so that a caller who repeats it gets through in the end.

    A create that stores its task misbehaves once for each safety_identifier, or prompt without one. One that
    stores nothing does so N times for each safety_identifier, and N times for each prompt until that is accepted.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[str, int] = OrderedDict()

    def misbehaves(self, order: Order) -> bool:
        """Whether this create is one that misbehaves; counts it if so."""
        create = order.scenario.create
        if create is Create.FLAWLESS or create is Create.MODERATED:
            return create is Create.MODERATED
        by_prompt = f"{order.directive}\nprompt\n{order.prompt}"
        by_caller = f"{order.directive}\ncaller\n{order.safety_identifier}"
        keys = [by_caller] if order.safety_identifier else [by_prompt]
        if order.safety_identifier and create not in STORING:
            keys.append(by_prompt)
        limit = 1 if create in STORING else order.directive_number
        if any(self._counts.get(key, 0) >= limit for key in keys):
            self._counts.pop(by_prompt, None)
            return False
        for key in keys:
            self._counts[key] = self._counts.get(key, 0) + 1
        while len(self._counts) > KEY_COUNT_MAX:
            self._counts.popitem(last=False)
        return True
