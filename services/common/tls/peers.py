"""Who calls: an identity that the caller's certificate names, and the middleware that lets only those on a list in."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import grpc
from grpc.aio import ServicerContext

from services.common.rpc.interceptors import Handler, Middleware
from services.common.tls.identities import covers

_peer: ContextVar[str] = ContextVar("peer", default="")


def admitted(access: Mapping[str, tuple[str, ...]]) -> Middleware:
    """Returns the middleware that lets in only callers whose certificate has an identity that is listed for the service."""

    def middleware(method: str, inside: Handler) -> Handler:
        service = method.split("/")[1]
        listed = access[service]

        async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
            identity = _identity_of(context)
            if not any(covers(entry, identity) for entry in listed):
                await context.abort(
                    grpc.StatusCode.PERMISSION_DENIED,
                    f"{identity or 'A certificate without exactly one SPIFFE identity'} may not call {service}.",
                )
            _peer.set(identity)
            return await inside(request, context)

        return call

    return middleware


def acting(name: str) -> str:
    """Returns who makes the call being served: the identity that let it in, and beside it the name that was given.

    Where no certificates are asked for, that is the name alone.
    """
    identity = _peer.get()
    return f"{identity} ({name})" if identity else name


def _identity_of(context: ServicerContext[Any, Any]) -> str:
    # Not peer_identities(): that mixes in DNS names.
    found = list(context.auth_context().get("peer_spiffe_id", ()))
    return found[0].decode() if len(found) == 1 else ""
