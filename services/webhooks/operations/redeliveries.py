"""Tasks that deliver many events again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.common.clock import rfc3339
from services.common.errors import invalid_field
from services.common.idempotency.reservation import ReservedId
from services.webhooks.domain import REDELIVERY_DAYS_MAX, Owner, Redelivery
from services.webhooks.store.endpoints import SqlEndpoints
from services.webhooks.store.redeliveries import SqlRedeliveries


@dataclass(frozen=True, kw_only=True)
class RedeliveryOperations:
    """Redeliveries, as their owners start and follow them."""

    endpoints: SqlEndpoints
    redeliveries: SqlRedeliveries
    new_id: Callable[[str], str]
    """Returns a new id with a prefix."""

    async def start(
        self,
        *,
        start: datetime,
        end: datetime,
        endpoint_id: str | None,
        owner: Owner,
        reserved: ReservedId | None = None,
    ) -> Redelivery:
        """Starts to deliver again everything given up in a range; once, if its id is reserved.

        Refuses with INVALID_FIELD or ENDPOINT_NOT_FOUND.
        """
        if start > end:
            rule = f"must not be after the end of the range, {rfc3339(end)}"
            raise invalid_field("start", rule, rfc3339(start))
        if end - start > timedelta(days=REDELIVERY_DAYS_MAX):
            rule = f"must be at most {REDELIVERY_DAYS_MAX} days before the end of the range, {rfc3339(end)}"
            raise invalid_field("start", rule, rfc3339(start))
        if endpoint_id is not None:
            await self.endpoints.get(endpoint_id, owner=owner)
        redelivery_id = self.new_id("whr") if reserved is None else reserved.id
        return await self.redeliveries.add(
            redelivery_id, owner=owner, endpoint_id=endpoint_id, start=start, end=end
        )

    async def get(self, redelivery_id: str, *, owner: Owner) -> Redelivery:
        """Returns how far a task is. Refuses with REDELIVERY_NOT_FOUND."""
        return await self.redeliveries.get(redelivery_id, owner=owner)
