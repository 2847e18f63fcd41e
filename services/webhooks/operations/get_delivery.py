from services.common.errors import Reason, ServiceError
from services.webhooks.domain import DeliveryKey, ListedDelivery, Owner, PastAttempt
from services.webhooks.ports import History

ATTEMPTS_SHOWN_MAX = 100


async def get_delivery(
    key: DeliveryKey, *, owner: Owner, history: History
) -> tuple[ListedDelivery, list[PastAttempt]]:
    """Returns a delivery and its latest attempts, oldest first. Refuses with DELIVERY_NOT_FOUND."""
    found = await history.get(key, owner=owner)
    if found is None:
        raise delivery_not_found()
    return found, await history.attempts(key, attempts_max=ATTEMPTS_SHOWN_MAX)


def delivery_not_found() -> ServiceError:
    """Returns the refusal of a delivery that the owner does not have."""
    return ServiceError(Reason.DELIVERY_NOT_FOUND, "There is no such webhook delivery.")
