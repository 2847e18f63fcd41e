from collections.abc import Callable
from datetime import datetime

from services.common.clock import Clock, whole_milliseconds
from services.webhooks.domain import TEST_EVENT, DeliveryKey, Event, ListedDelivery, Owner
from services.webhooks.operations.get_delivery import get_delivery
from services.webhooks.operations.get_endpoint import endpoint_disabled, get_endpoint
from services.webhooks.ports import Endpoints, History

RenderTest = Callable[[str, str, datetime], bytes]
"""Returns the body of a test event of a contract, from its id and moment."""


async def send_test_event(
    endpoint_id: str,
    *,
    owner: Owner,
    endpoints: Endpoints,
    history: History,
    render: RenderTest,
    new_id: Callable[[], str],
    clock: Clock,
    ring: Callable[[], None],
) -> ListedDelivery:
    """Sends an event to one endpoint, whatever events it takes. Refuses with ENDPOINT_NOT_FOUND or ENDPOINT_DISABLED."""
    endpoint = await get_endpoint(endpoint_id, owner=owner, endpoints=endpoints)
    if not endpoint.is_enabled:
        raise endpoint_disabled(endpoint_id)
    test_id, now = new_id(), whole_milliseconds(clock())
    event = Event(
        event_id=f"evt_{test_id}_1",
        job_id=test_id,
        account_id=owner.account_id,
        environment=owner.environment,
        contract=owner.contract,
        type=TEST_EVENT,
        sequence=1,
        target_url=endpoint.url,
        body=render(owner.contract, test_id, now),
        occurred_at=now,
    )
    await history.send_test(event, endpoint_id=endpoint_id)
    ring()
    key = DeliveryKey(job_id=test_id, sequence=1, target_id=endpoint_id)
    delivery, _ = await get_delivery(key, owner=owner, history=history)
    return delivery
