from collections.abc import Callable

from services.common.errors import Reason, ServiceError
from services.webhooks.domain import DeliveryKey, DeliveryStatus, ListedDelivery, Owner
from services.webhooks.operations.get_delivery import get_delivery
from services.webhooks.operations.get_endpoint import endpoint_disabled
from services.webhooks.ports import History


async def redeliver(
    key: DeliveryKey, *, owner: Owner, history: History, ring: Callable[[], None]
) -> ListedDelivery:
    """Delivers an event again, now, with a new schedule.

    Refuses with DELIVERY_NOT_FOUND, DELIVERY_PENDING or ENDPOINT_DISABLED.
    """
    reopened = await history.reopen(key, owner=owner)
    delivery, _ = await get_delivery(key, owner=owner, history=history)
    if reopened:
        ring()
        return delivery
    if delivery.status is DeliveryStatus.PENDING:
        raise ServiceError(Reason.DELIVERY_PENDING, "This webhook delivery is on its way already.")
    raise endpoint_disabled(key.target_id)
