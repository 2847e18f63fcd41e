"""Routes and credentials on the wire, for operators."""

from datetime import datetime
from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import route_admin_service_pb2 as pb
from reelgate.admin.v1.route_admin_service_pb2_grpc import RouteAdminServiceServicer
from typing_extensions import override

from services.common.audit.servicer import parse_note
from services.common.clock import rfc3339
from services.common.rpc.enums import value_of
from services.jobs.operations.routes import CredentialView, RouteOperations, RouteView

Context = ServicerContext[Any, Any]
_SHOWN = (
    "in_flight", "waiting", "judged", "succeeded", "submit_p50_seconds", "submit_p95_seconds", "render_p50_seconds",
    "render_p95_seconds", "last_error_class",
)  # fmt: skip
"""Fields of a reading that have the same name on the wire."""


class RouteAdminServicer(RouteAdminServiceServicer):
    """Routes and credentials, for operators."""

    def __init__(self, routes: RouteOperations) -> None:
        self._routes = routes

    @override
    async def ListRoutes(self, request: pb.ListRoutesRequest, context: Context) -> pb.ListRoutesResponse:
        return pb.ListRoutesResponse(routes=map(_render_route, await self._routes.routes()))

    @override
    async def DisableRoute(
        self, request: pb.DisableRouteRequest, context: Context
    ) -> pb.DisableRouteResponse:
        await self._routes.disable(request.name, note=parse_note(request.audit))
        return pb.DisableRouteResponse()

    @override
    async def EnableRoute(self, request: pb.EnableRouteRequest, context: Context) -> pb.EnableRouteResponse:
        await self._routes.enable(request.name, note=parse_note(request.audit))
        return pb.EnableRouteResponse()

    @override
    async def ListCredentials(
        self, request: pb.ListCredentialsRequest, context: Context
    ) -> pb.ListCredentialsResponse:
        return pb.ListCredentialsResponse(
            credentials=map(_render_credential, await self._routes.credentials())
        )

    @override
    async def RotateCredential(
        self, request: pb.RotateCredentialRequest, context: Context
    ) -> pb.RotateCredentialResponse:
        await self._routes.rotate(request.name, request.key, note=parse_note(request.audit))
        return pb.RotateCredentialResponse()

    @override
    async def EnableCredential(
        self, request: pb.EnableCredentialRequest, context: Context
    ) -> pb.EnableCredentialResponse:
        await self._routes.put_back(request.name, note=parse_note(request.audit))
        return pb.EnableCredentialResponse()


def _render_route(view: RouteView) -> pb.RouteStatus:
    route, reading = view.route, view.reading
    return pb.RouteStatus(
        name=route.name,
        provider=route.provider,
        credential=route.credential,
        upstream_model=route.upstream_model,
        state=value_of(pb.RouteState.DESCRIPTOR, view.state),
        last_error_at=_moment(reading.last_error_at),
        opened_until=_moment(reading.opened_until),
        **{name: getattr(reading, name) for name in _SHOWN},
    )


def _render_credential(view: CredentialView) -> pb.CredentialStatus:
    credential, reading = view.credential, view.reading
    return pb.CredentialStatus(
        name=credential.name,
        provider=credential.provider,
        keys=credential.keys,
        key_in_use=view.key_in_use,
        in_flight=reading.in_flight,
        jobs_at_once=credential.jobs_at_once,
        requests_per_minute=credential.requests_per_minute,
        out_reason=reading.out_reason if view.is_out else None,
        out_since=_moment(reading.out_since) if view.is_out else None,
        callbacks=credential.callbacks,
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
