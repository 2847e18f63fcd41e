from services.billing.domain import AuditNote, Key, SpendLimits, key_not_found
from services.billing.ports import Keys


async def set_key_limits(key_id: str, *, limits: SpendLimits, note: AuditNote, keys: Keys) -> Key:
    """Replaces what a key may spend, from the next hold on. Repeating it changes nothing. Refuses with KEY_NOT_FOUND."""
    key = await keys.set_limits(key_id, limits=limits, note=note)
    if key is None:
        raise key_not_found(key_id)
    return key
