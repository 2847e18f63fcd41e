"""What operators do to API keys."""

from collections.abc import Sequence

from reelgate.admin.v1 import key_admin_service_pb2, key_admin_service_pb2_grpc

from services.cli.admin.channel import open_admin_channel
from services.cli.admin.records import Key, KeyRules, Limits, NewKey, Note
from services.cli.admin.target import AdminTarget
from services.cli.admin.wire import to_limits_message, to_note_message, to_record, to_spending


async def create_key(account_id: str, *, environment: str, note: Note, billing: AdminTarget) -> NewKey:
    """Issues a key. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        created = await key_admin_service_pb2_grpc.KeyAdminServiceStub(channel).CreateKey(
            key_admin_service_pb2.CreateKeyRequest(
                account_id=account_id, environment=environment, audit=to_note_message(note)
            ),
            wait_for_ready=True,
        )
    return to_record(NewKey, created.key, secret=created.secret)


async def list_keys(account_id: str, *, billing: AdminTarget) -> Sequence[Key]:
    """Returns the keys of an account, newest first. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        listed = await key_admin_service_pb2_grpc.KeyAdminServiceStub(channel).ListKeys(
            key_admin_service_pb2.ListKeysRequest(account_id=account_id),
            wait_for_ready=True,
        )
    return [_key(key) for key in listed.keys]


async def disable_key(key_id: str, *, note: Note, billing: AdminTarget) -> Key:
    """Stops a key from working. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        disabled = await key_admin_service_pb2_grpc.KeyAdminServiceStub(channel).DisableKey(
            key_admin_service_pb2.DisableKeyRequest(key_id=key_id, audit=to_note_message(note)),
            wait_for_ready=True,
        )
    return _key(disabled.key)


async def rotate_key(key_id: str, *, overlap_seconds: int, note: Note, billing: AdminTarget) -> NewKey:
    """Gives a key a new secret; the one before goes on working for `overlap_seconds`. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        rotated = await key_admin_service_pb2_grpc.KeyAdminServiceStub(channel).RotateKey(
            key_admin_service_pb2.RotateKeyRequest(
                key_id=key_id, overlap_seconds=overlap_seconds, audit=to_note_message(note)
            ),
            wait_for_ready=True,
        )
    return to_record(NewKey, rotated.key, secret=rotated.secret)


async def set_key_limits(key_id: str, *, limits: Limits, note: Note, billing: AdminTarget) -> Key:
    """Replaces what a key may spend. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        limited = await key_admin_service_pb2_grpc.KeyAdminServiceStub(channel).SetKeyLimits(
            key_admin_service_pb2.SetKeyLimitsRequest(
                key_id=key_id, limits=to_limits_message(limits), audit=to_note_message(note)
            ),
            wait_for_ready=True,
        )
    return _key(limited.key)


async def set_key_models(key_id: str, *, models: Sequence[str], note: Note, billing: AdminTarget) -> Key:
    """Replaces which models a key may use; none means all. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        bounded = await key_admin_service_pb2_grpc.KeyAdminServiceStub(channel).SetKeyModels(
            key_admin_service_pb2.SetKeyModelsRequest(
                key_id=key_id, models=models, audit=to_note_message(note)
            ),
            wait_for_ready=True,
        )
    return _key(bounded.key)


async def set_key_rules(key_id: str, *, rules: KeyRules, note: Note, billing: AdminTarget) -> Key:
    """Replaces how a key may be used. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        ruled = await key_admin_service_pb2_grpc.KeyAdminServiceStub(channel).SetKeyRules(
            key_admin_service_pb2.SetKeyRulesRequest(
                key_id=key_id,
                rules=key_admin_service_pb2.KeyRules(**vars(rules)),
                audit=to_note_message(note),
            ),
            wait_for_ready=True,
        )
    return _key(ruled.key)


def _key(key: key_admin_service_pb2.Key) -> Key:
    rules = to_record(KeyRules, key.rules, moderation_profiles=list(key.rules.moderation_profiles))
    return to_record(Key, key, models=list(key.models), rules=rules, spending=to_spending(key.spending))
