"""How the callbacks of an account are signed, as operators change it."""

from collections.abc import Callable

from services.common.audit.note import AuditNote
from services.common.errors import Reason, ServiceError
from services.webhooks.domain import Signing, new_secret
from services.webhooks.ports import SigningSecrets


async def get_signing(account_id: str, *, environment: str, secrets: SigningSecrets) -> Signing:
    """Returns how it is signed. Refuses with ACCOUNT_NOT_FOUND."""
    return _found(await secrets.get(account_id, environment=environment), account_id)


async def rotate_signing_secret(
    account_id: str,
    *,
    environment: str,
    note: AuditNote,
    secrets: SigningSecrets,
    random_bytes: Callable[[int], bytes],
) -> tuple[Signing, str]:
    """Makes a new secret and returns it whole, this once. The old one signs first until the new one is confirmed.

    Refuses with ACCOUNT_NOT_FOUND.
    """
    secret = new_secret(random_bytes)
    rotated = await secrets.rotate(account_id, environment=environment, secret=secret, note=note)
    return _found(rotated, account_id), secret


async def confirm_signing_secret(
    account_id: str, *, environment: str, note: AuditNote, secrets: SigningSecrets
) -> Signing:
    """Lets the new secret sign first; the old one stays beside it for OVERLAP_HOURS. Repeating it changes nothing.

    Refuses with ACCOUNT_NOT_FOUND or SIGNING_NOT_ROTATING.
    """
    confirmed = await secrets.confirm(account_id, environment=environment, note=note)
    if confirmed is not None:
        return confirmed
    await get_signing(account_id, environment=environment, secrets=secrets)
    raise ServiceError(
        Reason.SIGNING_NOT_ROTATING,
        f"Account {account_id} has no new signing secret to confirm in {environment}. Rotate it first.",
        account_id=account_id,
        environment=environment,
    )


async def set_signing(
    account_id: str, *, environment: str, is_signing: bool, note: AuditNote, secrets: SigningSecrets
) -> Signing:
    """Says whether callbacks are signed, where the contract leaves that open. Refuses with ACCOUNT_NOT_FOUND."""
    switched = await secrets.switch(account_id, environment=environment, is_signing=is_signing, note=note)
    return _found(switched, account_id)


def _found(signing: Signing | None, account_id: str) -> Signing:
    if signing is None:
        raise ServiceError(
            Reason.ACCOUNT_NOT_FOUND,
            f"No webhooks are signed for account {account_id}: it has no signing secret.",
            account_id=account_id,
        )
    return signing
