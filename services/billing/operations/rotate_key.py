from services.billing.domain import AuditNote, Key, key_not_found
from services.billing.operations.create_key import draw_secret
from services.billing.ports import Accounts, Keys
from services.common.errors import Reason, ServiceError
from services.common.key_forms import KeyForms


async def rotate_key(
    key_id: str, *, overlap_seconds: int, note: AuditNote, accounts: Accounts, keys: Keys, forms: KeyForms
) -> tuple[str, Key]:
    """Gives a key a new secret and returns it whole, this once. Each call gives it another one.

    The secret before works for the overlap; one from an earlier rotation stops at once.
    Refuses with KEY_NOT_FOUND or KEY_DISABLED.
    """
    key = await keys.get(key_id)
    if key is None:
        raise key_not_found(key_id)
    contract = await accounts.contract(key.account_id)
    assert contract is not None, "no account is ever deleted"
    secret = draw_secret(contract, key.environment, forms=forms)
    rotated = await keys.rotate(
        key_id, sha256=secret.sha256, hint=secret.hint, overlap_seconds=overlap_seconds, note=note
    )
    if rotated is None:
        raise ServiceError(
            Reason.KEY_DISABLED, f"Key {key_id} is disabled. Create another one.", key_id=key_id
        )
    return secret.whole, rotated
