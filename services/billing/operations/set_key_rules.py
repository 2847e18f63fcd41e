from services.billing.domain import AuditNote, Key, KeyRules, key_not_found
from services.billing.ports import Keys


async def set_key_rules(key_id: str, *, rules: KeyRules, note: AuditNote, keys: Keys) -> Key:
    """Replaces how a key may be used. Repeating it changes nothing. Refuses with KEY_NOT_FOUND."""
    key = await keys.set_rules(key_id, rules=rules, note=note)
    if key is None:
        raise key_not_found(key_id)
    return key
