from collections.abc import Callable

from services.webhooks.domain import new_secret
from services.webhooks.ports import SigningSecrets


async def ensure_signing_secret(
    account_id: str, *, secrets: SigningSecrets, random_bytes: Callable[[int], bytes]
) -> str:
    """Returns the secret that signs an account's webhooks, made at the first call and the same ever after."""
    return await secrets.ensure(account_id, candidate=new_secret(random_bytes))
