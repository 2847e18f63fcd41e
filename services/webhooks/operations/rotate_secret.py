from collections.abc import Callable

from services.webhooks.domain import Endpoint, Owner, new_secret
from services.webhooks.operations.get_endpoint import found
from services.webhooks.ports import Endpoints


async def rotate_secret(
    endpoint_id: str, *, owner: Owner, endpoints: Endpoints, random_bytes: Callable[[int], bytes]
) -> tuple[Endpoint, str]:
    """Makes a new secret and returns it whole, this once. The old one signs first until the new one is confirmed.

    Refuses with ENDPOINT_NOT_FOUND.
    """
    secret = new_secret(random_bytes)
    return found(await endpoints.rotate(endpoint_id, owner=owner, secret=secret), endpoint_id), secret
