"""What operators do to API keys. Every function raises ServiceError."""

from collections.abc import Sequence

from reelgate.admin.v1 import key_admin_service_pb2 as pb
from reelgate.admin.v1.account_pb2 import SpendLimits
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.key_admin_service_pb2_grpc import KeyAdminServiceStub

from services.cli.admin.channel import call
from services.cli.admin.target import AdminTarget
from services.common.rpc.enums import environment_value


async def create_key(
    account_id: str, *, environment: str, note: AuditNote, billing: AdminTarget
) -> pb.CreateKeyResponse:
    """Issues a key."""
    request = pb.CreateKeyRequest(
        account_id=account_id, environment=environment_value(environment), audit=note
    )
    return await call(billing, lambda channel: KeyAdminServiceStub(channel).CreateKey, request)


async def list_keys(account_id: str, *, billing: AdminTarget) -> Sequence[pb.Key]:
    """Returns the keys of an account, newest first."""
    request = pb.ListKeysRequest(account_id=account_id)
    return (await call(billing, lambda channel: KeyAdminServiceStub(channel).ListKeys, request)).keys


async def disable_key(key_id: str, *, note: AuditNote, billing: AdminTarget) -> pb.Key:
    """Stops a key from working."""
    request = pb.DisableKeyRequest(key_id=key_id, audit=note)
    return (await call(billing, lambda channel: KeyAdminServiceStub(channel).DisableKey, request)).key


async def rotate_key(
    key_id: str, *, overlap_seconds: int, note: AuditNote, billing: AdminTarget
) -> pb.RotateKeyResponse:
    """Gives a key a new secret; the old one continues to work for `overlap_seconds`."""
    request = pb.RotateKeyRequest(key_id=key_id, overlap_seconds=overlap_seconds, audit=note)
    return await call(billing, lambda channel: KeyAdminServiceStub(channel).RotateKey, request)


async def set_key_limits(
    key_id: str, *, limits: SpendLimits, note: AuditNote, billing: AdminTarget
) -> pb.Key:
    """Replaces what a key may spend."""
    request = pb.SetKeyLimitsRequest(key_id=key_id, limits=limits, audit=note)
    return (await call(billing, lambda channel: KeyAdminServiceStub(channel).SetKeyLimits, request)).key


async def set_key_models(
    key_id: str, *, models: Sequence[str], note: AuditNote, billing: AdminTarget
) -> pb.Key:
    """Replaces which models a key may use; an empty list allows all."""
    request = pb.SetKeyModelsRequest(key_id=key_id, models=models, audit=note)
    return (await call(billing, lambda channel: KeyAdminServiceStub(channel).SetKeyModels, request)).key


async def set_key_rules(key_id: str, *, rules: pb.KeyRules, note: AuditNote, billing: AdminTarget) -> pb.Key:
    """Replaces how a key may be used."""
    request = pb.SetKeyRulesRequest(key_id=key_id, rules=rules, audit=note)
    return (await call(billing, lambda channel: KeyAdminServiceStub(channel).SetKeyRules, request)).key
