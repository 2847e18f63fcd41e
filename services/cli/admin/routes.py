"""What operators do with routes and credentials. Every function raises ServiceError."""

from collections.abc import Sequence

from reelgate.admin.v1 import route_admin_service_pb2 as pb
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.route_admin_service_pb2_grpc import RouteAdminServiceStub

from services.cli.admin.channel import call
from services.cli.admin.target import AdminTarget


async def list_routes(*, jobs: AdminTarget) -> Sequence[pb.RouteStatus]:
    """Returns the routes of the catalogue and how they do, by name."""
    request = pb.ListRoutesRequest()
    return (await call(jobs, lambda channel: RouteAdminServiceStub(channel).ListRoutes, request)).routes


async def disable_route(name: str, *, note: AuditNote, jobs: AdminTarget) -> None:
    """Gives a route no new jobs."""
    request = pb.DisableRouteRequest(name=name, audit=note)
    await call(jobs, lambda channel: RouteAdminServiceStub(channel).DisableRoute, request)


async def enable_route(name: str, *, note: AuditNote, jobs: AdminTarget) -> None:
    """Gives a route jobs again."""
    request = pb.EnableRouteRequest(name=name, audit=note)
    await call(jobs, lambda channel: RouteAdminServiceStub(channel).EnableRoute, request)


async def list_credentials(*, jobs: AdminTarget) -> Sequence[pb.CredentialStatus]:
    """Returns the credentials of the catalogue and whether they are in use, by name."""
    request = pb.ListCredentialsRequest()
    return (
        await call(jobs, lambda channel: RouteAdminServiceStub(channel).ListCredentials, request)
    ).credentials


async def rotate_credential(name: str, key: str, *, note: AuditNote, jobs: AdminTarget) -> None:
    """Has new tasks ordered with another key of a credential."""
    request = pb.RotateCredentialRequest(name=name, key=key, audit=note)
    await call(jobs, lambda channel: RouteAdminServiceStub(channel).RotateCredential, request)


async def enable_credential(name: str, *, note: AuditNote, jobs: AdminTarget) -> None:
    """Puts a credential back into use."""
    request = pb.EnableCredentialRequest(name=name, audit=note)
    await call(jobs, lambda channel: RouteAdminServiceStub(channel).EnableCredential, request)
