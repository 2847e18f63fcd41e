from collections.abc import Callable
from datetime import datetime, timedelta

from services.common.clock import rfc3339
from services.common.errors import invalid_field
from services.common.reservation import ReservedId
from services.webhooks.domain import REDELIVERY_DAYS_MAX, Owner, Redelivery
from services.webhooks.operations.get_endpoint import get_endpoint
from services.webhooks.ports import Endpoints, Redeliveries


async def start_redelivery(
    *,
    start: datetime,
    end: datetime,
    endpoint_id: str | None,
    owner: Owner,
    endpoints: Endpoints,
    redeliveries: Redeliveries,
    new_id: Callable[[], str],
    reserved: ReservedId | None = None,
) -> Redelivery:
    """Starts to deliver again everything given up in a range; once, if its id is reserved. Refuses with INVALID_FIELD or ENDPOINT_NOT_FOUND."""
    if start > end:
        raise invalid_field(
            "start", f"must not be after the end of the range, {rfc3339(end)}", rfc3339(start)
        )
    if end - start > timedelta(days=REDELIVERY_DAYS_MAX):
        rule = f"must be at most {REDELIVERY_DAYS_MAX} days before the end of the range, {rfc3339(end)}"
        raise invalid_field("start", rule, rfc3339(start))
    if endpoint_id is not None:
        await get_endpoint(endpoint_id, owner=owner, endpoints=endpoints)
    redelivery_id = new_id() if reserved is None else reserved.id
    return await redeliveries.add(redelivery_id, owner=owner, endpoint_id=endpoint_id, start=start, end=end)
