"""What operators do to the secrets that sign webhooks. Every function raises ServiceError."""

from reelgate.admin.v1 import signing_secret_service_pb2 as pb
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.signing_secret_service_pb2_grpc import SigningSecretServiceStub

from services.cli.admin.channel import call, open_admin_channel
from services.cli.admin.target import AdminTarget
from services.common.rpc.enums import environment_value


async def ensure_signing_secret(account_id: str, *, environment: str, webhooks: AdminTarget) -> str:
    """Creates the secret of an account and returns it; returns an empty string if there was one."""
    request = pb.EnsureSigningSecretRequest(account_id=account_id, environment=environment_value(environment))
    ensured = await call(
        webhooks, lambda channel: SigningSecretServiceStub(channel).EnsureSigningSecret, request
    )
    return ensured.secret


async def get_signing(account_id: str, *, environment: str, webhooks: AdminTarget) -> pb.Signing:
    """Returns how webhooks of an account are signed."""
    request = pb.GetSigningRequest(account_id=account_id, environment=environment_value(environment))
    got = await call(webhooks, lambda channel: SigningSecretServiceStub(channel).GetSigning, request)
    return got.signing


async def rotate_signing_secret(
    account_id: str, *, environment: str, note: AuditNote, webhooks: AdminTarget
) -> pb.RotateSigningSecretResponse:
    """Creates a new secret, which then needs to be confirmed."""
    request = pb.RotateSigningSecretRequest(
        account_id=account_id, environment=environment_value(environment), audit=note
    )
    return await call(
        webhooks, lambda channel: SigningSecretServiceStub(channel).RotateSigningSecret, request
    )


async def confirm_signing_secret(
    account_id: str, *, environment: str, note: AuditNote, webhooks: AdminTarget
) -> pb.Signing:
    """Lets the new secret sign first."""
    request = pb.ConfirmSigningSecretRequest(
        account_id=account_id, environment=environment_value(environment), audit=note
    )
    confirmed = await call(
        webhooks, lambda channel: SigningSecretServiceStub(channel).ConfirmSigningSecret, request
    )
    return confirmed.signing


async def set_signing(
    account_id: str, *, environment: str, is_signing: bool, note: AuditNote, webhooks: AdminTarget
) -> pb.Signing:
    """Sets whether callbacks are signed, where the contract leaves that open."""
    request = pb.SetSigningRequest(
        account_id=account_id, environment=environment_value(environment), signing=is_signing, audit=note
    )
    switched = await call(webhooks, lambda channel: SigningSecretServiceStub(channel).SetSigning, request)
    return switched.signing


async def reseal_secrets(*, note: AuditNote, webhooks: AdminTarget) -> pb.ResealSecretsResponse:
    """Encrypts all stored secrets with the newest key, batch by batch. May be repeated. Returns the sums."""
    total, more = pb.ResealSecretsResponse(), True
    async with open_admin_channel(webhooks) as channel:
        while more:
            batch = await SigningSecretServiceStub(channel).ResealSecrets(
                pb.ResealSecretsRequest(page_token=total.next_page_token, audit=note), wait_for_ready=True
            )
            total.examined_count += batch.examined_count
            total.resealed_count += batch.resealed_count
            total.unreadable_count += batch.unreadable_count
            total.next_page_token, more = batch.next_page_token, bool(batch.next_page_token)
    return total
