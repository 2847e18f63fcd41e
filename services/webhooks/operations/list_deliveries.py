from services.webhooks.domain import DeliveryFilter, DeliveryKey, ListedDelivery, Owner
from services.webhooks.ports import History


async def list_deliveries(
    *, owner: Owner, wanted: DeliveryFilter, after: DeliveryKey | None, limit: int, history: History
) -> tuple[list[ListedDelivery], DeliveryKey | None]:
    """Returns up to `limit` deliveries, newest first, and the `after` of the next page if there is one."""
    found = await history.page(owner=owner, wanted=wanted, after=after, limit=limit + 1)
    page = found[:limit]
    return page, page[-1].key if len(found) > limit else None
