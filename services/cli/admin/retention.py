"""For how long things of single accounts are kept. Every function raises ServiceError."""

from reelgate.admin.v1 import retention_service_pb2 as pb
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.retention_service_pb2_grpc import RetentionServiceStub

from services.cli.admin.channel import call
from services.cli.admin.target import AdminTarget


async def get_account_days(account_id: str, *, jobs: AdminTarget) -> pb.AccountDays:
    """Returns what was chosen for an account."""
    request = pb.GetAccountDaysRequest(account_id=account_id)
    return (await call(jobs, lambda channel: RetentionServiceStub(channel).GetAccountDays, request)).days


async def set_account_days(
    account_id: str, days: pb.AccountDays, *, note: AuditNote, jobs: AdminTarget
) -> pb.AccountDays:
    """Replaces what was chosen for an account."""
    request = pb.SetAccountDaysRequest(account_id=account_id, days=days, audit=note)
    return (await call(jobs, lambda channel: RetentionServiceStub(channel).SetAccountDays, request)).days
