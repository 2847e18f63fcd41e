"""What operators do to accounts, keys and credits, over the internal ports of billing and webhooks.

Calls wait for a service that is just starting, as long as their deadline allows.
"""

from collections.abc import Sequence

from reelgate.admin.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    key_admin_service_pb2,
    key_admin_service_pb2_grpc,
    signing_secret_service_pb2,
    signing_secret_service_pb2_grpc,
)

from services.common.client import open_channel
from services.common.ids import new_id
from services.devstack.accounts import ENVIRONMENTS, ListedKey, NewAccount, NewKey


async def create_account(
    name: str, *, contract: str, credits_micros: int, billing: str, webhooks: str
) -> NewAccount:
    """Opens an account with a key, and `credits_micros` if more than 0, in each environment. Raises ServiceError."""
    async with open_channel(billing) as channel:
        accounts = account_service_pb2_grpc.AccountServiceStub(channel)
        account = await accounts.CreateAccount(
            account_service_pb2.CreateAccountRequest(name=name, contract=contract), wait_for_ready=True
        )
    keys = {}
    for environment in ENVIRONMENTS:
        key = await create_key(account.account_id, environment=environment, billing=billing)
        keys[environment] = key.secret
        if credits_micros:
            await grant_credits(
                account.account_id,
                environment=environment,
                amount_micros=credits_micros,
                reason="first credits",
                billing=billing,
            )
    async with open_channel(webhooks) as channel:
        secrets = signing_secret_service_pb2_grpc.SigningSecretServiceStub(channel)
        signing = await secrets.EnsureSigningSecret(
            signing_secret_service_pb2.EnsureSigningSecretRequest(account_id=account.account_id),
            wait_for_ready=True,
        )
    return NewAccount(account_id=account.account_id, keys=keys, webhook_secret=signing.secret)


async def grant_credits(
    account_id: str, *, environment: str, amount_micros: int, reason: str, billing: str
) -> int:
    """Adds credits once. Returns what can be spent now, in micro-credits. Raises ServiceError."""
    async with open_channel(billing) as channel:
        granted = await account_service_pb2_grpc.AccountServiceStub(channel).GrantCredits(
            account_service_pb2.GrantCreditsRequest(
                grant_id=new_id("grant"),
                account_id=account_id,
                environment=environment,
                amount_micros=amount_micros,
                reason=reason,
            ),
            wait_for_ready=True,
        )
    return int(granted.available_micros)


async def create_key(account_id: str, *, environment: str, billing: str) -> NewKey:
    """Issues a key. Raises ServiceError."""
    async with open_channel(billing) as channel:
        made = await key_admin_service_pb2_grpc.KeyAdminServiceStub(channel).CreateKey(
            key_admin_service_pb2.CreateKeyRequest(account_id=account_id, environment=environment),
            wait_for_ready=True,
        )
    return NewKey(
        key_id=made.key.key_id,
        environment=made.key.environment,
        secret=made.secret,
        created_at=made.key.created_at,
    )


async def list_keys(account_id: str, *, billing: str) -> Sequence[ListedKey]:
    """Returns the keys of an account, newest first. Raises ServiceError."""
    async with open_channel(billing) as channel:
        listed = await key_admin_service_pb2_grpc.KeyAdminServiceStub(channel).ListKeys(
            key_admin_service_pb2.ListKeysRequest(account_id=account_id),
            wait_for_ready=True,
        )
    return [_listed(key) for key in listed.keys]


async def disable_key(key_id: str, *, billing: str) -> ListedKey:
    """Stops a key from working. Raises ServiceError."""
    async with open_channel(billing) as channel:
        disabled = await key_admin_service_pb2_grpc.KeyAdminServiceStub(channel).DisableKey(
            key_admin_service_pb2.DisableKeyRequest(key_id=key_id),
            wait_for_ready=True,
        )
    return _listed(disabled.key)


def _listed(key: key_admin_service_pb2.Key) -> ListedKey:
    return ListedKey(
        key_id=key.key_id,
        environment=key.environment,
        hint=key.hint,
        created_at=key.created_at,
        disabled_at=key.disabled_at if key.HasField("disabled_at") else None,
    )
