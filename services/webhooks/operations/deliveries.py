"""What customers do with deliveries, where a rule is needed beside the store."""

from collections.abc import Callable
from dataclasses import dataclass

from services.webhooks.domain import (
    DeliveryFilter,
    DeliveryKey,
    DeliveryStatus,
    ListedDelivery,
    Owner,
    PastAttempt,
)
from services.webhooks.refusals import delivery_pending, endpoint_disabled
from services.webhooks.store.history import SqlHistory

ATTEMPTS_SHOWN_MAX = 100


@dataclass(frozen=True, kw_only=True)
class DeliveryOperations:
    """Deliveries, as their owners see and repeat them."""

    history: SqlHistory
    notify: Callable[[], None]
    """Wakes the dispatchers."""

    async def get(self, key: DeliveryKey, *, owner: Owner) -> tuple[ListedDelivery, list[PastAttempt]]:
        """Returns a delivery and its latest attempts, oldest first. Refuses with DELIVERY_NOT_FOUND."""
        return await self.history.get_with_attempts(key, owner=owner, attempts_max=ATTEMPTS_SHOWN_MAX)

    async def page(
        self, wanted: DeliveryFilter, *, owner: Owner, after: DeliveryKey | None, limit: int
    ) -> tuple[list[ListedDelivery], DeliveryKey | None]:
        """Returns up to `limit` deliveries, newest first, and the `after` of the next page if there is one."""
        found = await self.history.page(owner=owner, wanted=wanted, after=after, limit=limit + 1)
        page = found[:limit]
        return page, page[-1].key if len(found) > limit else None

    async def redeliver(self, key: DeliveryKey, *, owner: Owner) -> ListedDelivery:
        """Delivers an event again, now, with a new schedule.

        Refuses with DELIVERY_NOT_FOUND, DELIVERY_PENDING or ENDPOINT_DISABLED.
        """
        reopened = await self.history.reopen(key, owner=owner)
        delivery = await self.history.get(key, owner=owner)
        if reopened:
            self.notify()
            return delivery
        raise (
            delivery_pending()
            if delivery.status is DeliveryStatus.PENDING
            else endpoint_disabled(key.target_id)
        )
