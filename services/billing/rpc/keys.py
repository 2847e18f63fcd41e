"""Key look-up on the wire, for the authentication of other services."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import render_caller
from services.billing.store.keys import SqlKeys
from services.common.auth.authentication import key_refused

Context = ServicerContext[Any, Any]


class KeyServicer(key_service_pb2_grpc.KeyServiceServicer):
    """Key look-up, for the authentication of other services."""

    def __init__(self, *, keys: SqlKeys) -> None:
        self._keys = keys

    @override
    async def LookUpKey(
        self, request: key_service_pb2.LookUpKeyRequest, context: Context
    ) -> key_service_pb2.LookUpKeyResponse:
        found = await self._keys.find(request.key_sha256)
        if found is None:
            raise key_refused()
        return render_caller(found)
