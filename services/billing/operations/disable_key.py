from services.billing.domain import Key
from services.billing.ports import Keys
from services.common.errors import Reason, ServiceError


async def disable_key(key_id: str, *, keys: Keys) -> Key:
    """Stops a key from working. Repeating it changes nothing. Refuses with KEY_NOT_FOUND."""
    key = await keys.disable(key_id)
    if key is None:
        raise ServiceError(Reason.KEY_NOT_FOUND, f"There is no key {key_id}.", key_id=key_id)
    return key
