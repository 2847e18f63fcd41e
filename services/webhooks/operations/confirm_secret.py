from services.common.errors import Reason, ServiceError
from services.webhooks.domain import Endpoint, Owner
from services.webhooks.operations.get_endpoint import get_endpoint
from services.webhooks.ports import Endpoints


async def confirm_secret(endpoint_id: str, *, owner: Owner, endpoints: Endpoints) -> Endpoint:
    """Lets the new secret sign first; the old one stays beside it for OVERLAP_HOURS. Repeating it changes nothing.

    Refuses with ENDPOINT_NOT_FOUND or ENDPOINT_NOT_ROTATING.
    """
    confirmed = await endpoints.confirm(endpoint_id, owner=owner)
    if confirmed is not None:
        return confirmed
    await get_endpoint(endpoint_id, owner=owner, endpoints=endpoints)
    raise ServiceError(
        Reason.ENDPOINT_NOT_ROTATING,
        f"Webhook endpoint {endpoint_id} has no new secret to confirm. Rotate it first.",
        endpoint_id=endpoint_id,
    )
