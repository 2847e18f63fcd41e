from services.webhooks.domain import Owner
from services.webhooks.operations.get_endpoint import endpoint_not_found
from services.webhooks.ports import Endpoints


async def delete_endpoint(endpoint_id: str, *, owner: Owner, endpoints: Endpoints) -> None:
    """Forgets an endpoint; what waits for it is given up. Refuses with ENDPOINT_NOT_FOUND."""
    if not await endpoints.delete(endpoint_id, owner=owner):
        raise endpoint_not_found(endpoint_id)
