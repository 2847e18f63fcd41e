from collections.abc import Iterable

from services.billing.domain import AuditNote, Key, key_not_found
from services.billing.ports import Keys


async def set_key_models(key_id: str, *, models: Iterable[str], note: AuditNote, keys: Keys) -> Key:
    """Replaces which models a key may use; none named means all. Repeating it, in any order, changes nothing.

    Refuses with KEY_NOT_FOUND.
    """
    key = await keys.set_models(key_id, models=tuple(sorted(models)), note=note)
    if key is None:
        raise key_not_found(key_id)
    return key
