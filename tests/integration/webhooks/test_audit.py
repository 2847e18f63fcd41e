"""Operators can read what they changed in webhooks."""

from typing import Any

from reelgate.admin.v1 import audit_service_pb2, signing_secret_service_pb2
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.audit_service_pb2_grpc import AuditServiceStub
from reelgate.admin.v1.signing_secret_service_pb2_grpc import SigningSecretServiceStub

from services.common.rpc.client import open_channel
from services.common.rpc.enums import environment_value
from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import Role, open_webhooks


async def test_a_rotation_is_listed_with_who_and_why(settings: WebhooksSettings) -> None:
    note = AuditNote(actor="ops", reason="leaked")
    account: dict[str, Any] = {"account_id": "acct_1", "environment": environment_value("live")}
    async with (
        open_webhooks(settings, role=Role.API) as running,
        open_channel(str(running.admin_address)) as admin,
    ):
        secrets = SigningSecretServiceStub(admin)
        ensure = signing_secret_service_pb2.EnsureSigningSecretRequest(**account)
        await secrets.EnsureSigningSecret(ensure, timeout=60)
        rotate = signing_secret_service_pb2.RotateSigningSecretRequest(**account, audit=note)
        await secrets.RotateSigningSecret(rotate, timeout=60)

        wanted = audit_service_pb2.ListAuditEntriesRequest(subject_id="acct_1")
        listed = await AuditServiceStub(admin).ListAuditEntries(wanted, timeout=60)

    assert [(entry.action, entry.actor, entry.reason) for entry in listed.entries] == [
        ("signing_secret.rotate", "ops", "leaked")
    ]
