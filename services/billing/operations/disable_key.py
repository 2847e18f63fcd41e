from services.billing.domain import AuditNote, Key, key_not_found
from services.billing.ports import Keys


async def disable_key(key_id: str, *, note: AuditNote, keys: Keys) -> Key:
    """Stops a key from working, with every secret it has. Repeating it changes nothing. Refuses with KEY_NOT_FOUND."""
    key = await keys.disable(key_id, note=note)
    if key is None:
        raise key_not_found(key_id)
    return key
