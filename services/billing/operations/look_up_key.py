from services.billing.ports import Keys
from services.common.authentication import Caller
from services.common.errors import Reason, ServiceError


async def look_up_key(sha256: bytes, *, keys: Keys) -> Caller:
    """Returns whose key has this hash.

    Refuses with KEY_INVALID when it is unknown or disabled, or its account is suspended.
    """
    found = await keys.find(sha256)
    if found is None:
        raise ServiceError(Reason.KEY_INVALID, "API key is missing, invalid, or disabled.")
    return found
