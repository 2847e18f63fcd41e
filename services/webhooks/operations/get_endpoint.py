from services.common.errors import Reason, ServiceError
from services.webhooks.domain import Endpoint, Owner
from services.webhooks.ports import Endpoints


async def get_endpoint(endpoint_id: str, *, owner: Owner, endpoints: Endpoints) -> Endpoint:
    """Returns the owner's endpoint. Refuses with ENDPOINT_NOT_FOUND."""
    return found(await endpoints.get(endpoint_id, owner=owner), endpoint_id)


def found(endpoint: Endpoint | None, endpoint_id: str) -> Endpoint:
    """Returns the endpoint. Refuses with ENDPOINT_NOT_FOUND when there is none."""
    if endpoint is None:
        raise endpoint_not_found(endpoint_id)
    return endpoint


def endpoint_not_found(endpoint_id: str) -> ServiceError:
    """Returns the refusal of an endpoint that the owner does not have."""
    return ServiceError(
        Reason.ENDPOINT_NOT_FOUND, f"There is no webhook endpoint {endpoint_id}.", endpoint_id=endpoint_id
    )


def endpoint_disabled(endpoint_id: str) -> ServiceError:
    """Returns the refusal of an endpoint that nothing is delivered to."""
    return ServiceError(
        Reason.ENDPOINT_DISABLED,
        f"Webhook endpoint {endpoint_id} is disabled or deleted. Enable it first.",
        endpoint_id=endpoint_id,
    )
