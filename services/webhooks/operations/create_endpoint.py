from collections.abc import Callable

from services.common.errors import Reason, ServiceError
from services.common.reservation import ReservedId
from services.webhooks.domain import (
    ENDPOINTS_MAX,
    JOB_EVENTS,
    Endpoint,
    EndpointChange,
    Owner,
    new_secret,
)
from services.webhooks.operations.check_endpoint import CheckUrl, check_endpoint
from services.webhooks.ports import Endpoints


async def create_endpoint(
    wanted: EndpointChange,
    *,
    owner: Owner,
    endpoints: Endpoints,
    check_url: CheckUrl,
    new_id: Callable[[], str],
    random_bytes: Callable[[int], bytes],
    reserved: ReservedId | None = None,
) -> tuple[Endpoint, str]:
    """Registers an endpoint and returns it with its secret, whole, this once.

    Each call registers another one, unless its id is reserved.

    It takes all events of the contract's jobs unless it names some. Refuses with INVALID_FIELD, or
    ENDPOINT_LIMIT_REACHED beyond ENDPOINTS_MAX.
    """
    check_endpoint(wanted, contract=owner.contract, check_url=check_url)
    secret = new_secret(random_bytes)
    complete = EndpointChange(
        url=wanted.url,
        events=wanted.events or JOB_EVENTS[owner.contract],
        description=wanted.description or "",
        is_enabled=wanted.is_enabled is not False,
    )
    endpoint_id = new_id() if reserved is None else reserved.id
    added = await endpoints.add(endpoint_id, owner=owner, wanted=complete, secret=secret)
    if added is None:
        raise ServiceError(
            Reason.ENDPOINT_LIMIT_REACHED,
            f"There are {ENDPOINTS_MAX} webhook endpoints already. Delete one first.",
            endpoints_max=str(ENDPOINTS_MAX),
        )
    return added
