from services.webhooks.domain import Endpoint, EndpointChange, Owner
from services.webhooks.operations.check_endpoint import CheckUrl, check_endpoint
from services.webhooks.operations.get_endpoint import found
from services.webhooks.ports import Endpoints


async def update_endpoint(
    endpoint_id: str, *, change: EndpointChange, owner: Owner, endpoints: Endpoints, check_url: CheckUrl
) -> Endpoint:
    """Changes an endpoint: deliveries that wait go to its new address. Refuses with ENDPOINT_NOT_FOUND or INVALID_FIELD."""
    check_endpoint(change, contract=owner.contract, check_url=check_url)
    return found(await endpoints.change(endpoint_id, owner=owner, change=change), endpoint_id)
