"""What customers do with endpoints, where a rule is needed beside the store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.common.clock import Clock, whole_milliseconds
from services.common.egress.policy import ForbiddenUrlError
from services.common.errors import invalid_field
from services.common.idempotency.reservation import ReservedId
from services.webhooks.domain import (
    ENDPOINT_DISABLED,
    JOB_EVENTS,
    TEST_EVENT,
    DeliveryKey,
    Endpoint,
    EndpointChange,
    Event,
    ListedDelivery,
    Owner,
    new_secret,
)
from services.webhooks.refusals import endpoint_disabled
from services.webhooks.store.endpoints import SqlEndpoints
from services.webhooks.store.history import SqlHistory

CheckUrl = Callable[[str], None]
"""Raises ForbiddenUrlError for an address that must not be called."""

RenderTest = Callable[[str, str, datetime], bytes]
"""Returns the body of a test event of a contract, from its id and moment."""


@dataclass(frozen=True, kw_only=True)
class EndpointOperations:
    """Endpoints, as their owners change and test them."""

    endpoints: SqlEndpoints
    history: SqlHistory
    check_url: CheckUrl
    render_test: RenderTest
    new_id: Callable[[str], str]
    """Returns a new id with a prefix."""
    random_bytes: Callable[[int], bytes]
    notify: Callable[[], None]
    """Wakes the dispatchers."""
    clock: Clock

    async def create(
        self, wanted: EndpointChange, *, owner: Owner, reserved: ReservedId | None = None
    ) -> tuple[Endpoint, str]:
        """Registers an endpoint and returns it with its secret, whole, this once.

        Each call registers another one, unless its id is reserved.

        It takes all events of the contract's jobs unless it names some. Refuses with INVALID_FIELD, or
        ENDPOINT_LIMIT_REACHED beyond ENDPOINTS_MAX.
        """
        check_endpoint(wanted, contract=owner.contract, check_url=self.check_url)
        complete = EndpointChange(
            url=wanted.url,
            events=wanted.events or JOB_EVENTS[owner.contract],
            description=wanted.description or "",
            is_enabled=wanted.is_enabled is not False,
        )
        endpoint_id = self.new_id("whe") if reserved is None else reserved.id
        secret = new_secret(self.random_bytes)
        return await self.endpoints.add(endpoint_id, owner=owner, wanted=complete, secret=secret)

    async def update(self, endpoint_id: str, *, change: EndpointChange, owner: Owner) -> Endpoint:
        """Changes an endpoint: deliveries that wait go to its new address. Refuses with ENDPOINT_NOT_FOUND or INVALID_FIELD."""
        check_endpoint(change, contract=owner.contract, check_url=self.check_url)
        return await self.endpoints.change(endpoint_id, owner=owner, change=change)

    async def rotate_secret(self, endpoint_id: str, *, owner: Owner) -> tuple[Endpoint, str]:
        """Makes a new secret and returns it whole, this once. The old one signs first until the new one is confirmed.

        Refuses with ENDPOINT_NOT_FOUND.
        """
        secret = new_secret(self.random_bytes)
        return await self.endpoints.rotate(endpoint_id, owner=owner, secret=secret), secret

    async def send_test(self, endpoint_id: str, *, owner: Owner) -> ListedDelivery:
        """Sends an event to one endpoint, whatever events it takes. Refuses with ENDPOINT_NOT_FOUND or ENDPOINT_DISABLED."""
        endpoint = await self.endpoints.get(endpoint_id, owner=owner)
        if not endpoint.is_enabled:
            raise endpoint_disabled(endpoint_id)
        test_id, now = self.new_id("test"), whole_milliseconds(self.clock())
        event = Event(
            event_id=f"evt_{test_id}_1",
            job_id=test_id,
            account_id=owner.account_id,
            environment=owner.environment,
            contract=owner.contract,
            type=TEST_EVENT,
            sequence=1,
            target_url=endpoint.url,
            body=self.render_test(owner.contract, test_id, now),
            occurred_at=now,
        )
        await self.history.send_test(event, endpoint_id=endpoint_id)
        self.notify()
        key = DeliveryKey(job_id=test_id, sequence=1, target_id=endpoint_id)
        return await self.history.get(key, owner=owner)


def check_endpoint(wanted: EndpointChange, *, contract: str, check_url: CheckUrl) -> None:
    """Refuses an address or events that an endpoint cannot have, with INVALID_FIELD."""
    if wanted.url is not None:
        try:
            check_url(wanted.url)
        except ForbiddenUrlError as error:
            raise invalid_field("url", error.why, wanted.url) from error
    check_events(wanted.events or (), contract=contract)


def check_events(wanted: Sequence[str], *, contract: str) -> None:
    """Refuses events that the contract does not have, with INVALID_FIELD."""
    allowed = (*JOB_EVENTS[contract], ENDPOINT_DISABLED)
    for index, event in enumerate(wanted):
        if event not in allowed:
            raise invalid_field(f"events[{index}]", f"must be one of {', '.join(allowed)}", event)
