from services.webhooks.domain import Endpoint, Owner
from services.webhooks.ports import Endpoints


async def list_endpoints(*, owner: Owner, endpoints: Endpoints) -> list[Endpoint]:
    """Returns the owner's endpoints, oldest first."""
    return await endpoints.all_of(owner)
