"""What customers do with listeners, where a rule is needed beside the store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.common.idempotency.reservation import ReservedId
from services.webhooks.domain import JOB_EVENTS, Listener, Owner, new_secret
from services.webhooks.operations.endpoints import check_events
from services.webhooks.store.listeners import SqlListeners


@dataclass(frozen=True, kw_only=True)
class ListenerOperations:
    """Listeners, as their owners make them."""

    listeners: SqlListeners
    new_id: Callable[[str], str]
    """Returns a new id with a prefix."""
    random_bytes: Callable[[int], bytes]

    async def create(
        self, events: Sequence[str], *, owner: Owner, reserved: ReservedId | None = None
    ) -> tuple[Listener, str]:
        """Makes a listener and returns it with its secret, whole, this once.

        Each call makes another one, unless its id is reserved. It is told of all events of the contract's jobs unless
        some are named. Refuses with INVALID_FIELD, or LISTENER_LIMIT_REACHED beyond LISTENERS_MAX.
        """
        check_events(events, contract=owner.contract)
        return await self.listeners.add(
            self.new_id("whl") if reserved is None else reserved.id,
            owner=owner,
            events=events or JOB_EVENTS[owner.contract],
            secret=new_secret(self.random_bytes),
        )
