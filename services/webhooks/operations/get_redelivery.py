from services.common.errors import Reason, ServiceError
from services.webhooks.domain import Owner, Redelivery
from services.webhooks.ports import Redeliveries


async def get_redelivery(redelivery_id: str, *, owner: Owner, redeliveries: Redeliveries) -> Redelivery:
    """Returns how far a task is. Refuses with REDELIVERY_NOT_FOUND."""
    found = await redeliveries.get(redelivery_id, owner=owner)
    if found is None:
        raise ServiceError(Reason.REDELIVERY_NOT_FOUND, f"There is no webhook redelivery {redelivery_id}.")
    return found
