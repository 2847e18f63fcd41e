from collections.abc import Callable

from services.webhooks.domain import new_secret
from services.webhooks.ports import SigningSecrets


async def ensure_signing_secret(
    account_id: str, *, environment: str, secrets: SigningSecrets, random_bytes: Callable[[int], bytes]
) -> str:
    """Makes the secret that signs for an account in an environment, and returns it. Empty when it had one before."""
    secret = new_secret(random_bytes)
    return secret if await secrets.ensure(account_id, environment=environment, candidate=secret) else ""
