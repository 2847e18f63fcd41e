"""What operators do to the secrets that sign webhooks."""

from reelgate.admin.v1 import signing_secret_service_pb2 as pb
from reelgate.admin.v1 import signing_secret_service_pb2_grpc as services_pb

from services.cli.admin.channel import open_admin_channel
from services.cli.admin.records import Note, Resealed, Signing
from services.cli.admin.target import AdminTarget
from services.cli.admin.wire import to_note_message, to_record


async def ensure_signing_secret(account_id: str, *, environment: str, webhooks: AdminTarget) -> str:
    """Makes the secret of an account and returns it. Empty when it had one. Raises ServiceError."""
    async with open_admin_channel(webhooks) as channel:
        ensured = await services_pb.SigningSecretServiceStub(channel).EnsureSigningSecret(
            pb.EnsureSigningSecretRequest(account_id=account_id, environment=environment),
            wait_for_ready=True,
        )
    return str(ensured.secret)


async def get_signing(account_id: str, *, environment: str, webhooks: AdminTarget) -> Signing:
    """Returns how webhooks of an account are signed. Raises ServiceError."""
    async with open_admin_channel(webhooks) as channel:
        got = await services_pb.SigningSecretServiceStub(channel).GetSigning(
            pb.GetSigningRequest(account_id=account_id, environment=environment), wait_for_ready=True
        )
    return to_record(Signing, got.signing, secret=None)


async def rotate_signing_secret(
    account_id: str, *, environment: str, note: Note, webhooks: AdminTarget
) -> Signing:
    """Makes a new secret, to be confirmed. Raises ServiceError."""
    async with open_admin_channel(webhooks) as channel:
        rotated = await services_pb.SigningSecretServiceStub(channel).RotateSigningSecret(
            pb.RotateSigningSecretRequest(
                account_id=account_id, environment=environment, audit=to_note_message(note)
            ),
            wait_for_ready=True,
        )
    return to_record(Signing, rotated.signing, secret=rotated.secret)


async def confirm_signing_secret(
    account_id: str, *, environment: str, note: Note, webhooks: AdminTarget
) -> Signing:
    """Lets the new secret sign first. Raises ServiceError."""
    async with open_admin_channel(webhooks) as channel:
        confirmed = await services_pb.SigningSecretServiceStub(channel).ConfirmSigningSecret(
            pb.ConfirmSigningSecretRequest(
                account_id=account_id, environment=environment, audit=to_note_message(note)
            ),
            wait_for_ready=True,
        )
    return to_record(Signing, confirmed.signing, secret=None)


async def set_signing(
    account_id: str, *, environment: str, is_signing: bool, note: Note, webhooks: AdminTarget
) -> Signing:
    """Says whether callbacks are signed, where the contract leaves that open. Raises ServiceError."""
    async with open_admin_channel(webhooks) as channel:
        switched = await services_pb.SigningSecretServiceStub(channel).SetSigning(
            pb.SetSigningRequest(
                account_id=account_id,
                environment=environment,
                signing=is_signing,
                audit=to_note_message(note),
            ),
            wait_for_ready=True,
        )
    return to_record(Signing, switched.signing, secret=None)


async def reseal_secrets(*, note: Note, webhooks: AdminTarget) -> Resealed:
    """Encrypts all that rests encrypted with the newest key, batch by batch. May be repeated. Raises ServiceError."""
    examined = resealed = unreadable = 0
    after = ""
    async with open_admin_channel(webhooks) as channel:
        service = services_pb.SigningSecretServiceStub(channel)
        while True:
            batch = await service.ResealSecrets(
                pb.ResealSecretsRequest(after=after, audit=to_note_message(note)), wait_for_ready=True
            )
            examined += batch.examined_count
            resealed += batch.resealed_count
            unreadable += batch.unreadable_count
            after = batch.next_after
            if not after:
                break
    return Resealed(examined_count=examined, resealed_count=resealed, unreadable_count=unreadable)
