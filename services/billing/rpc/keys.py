"""Key look-up on the wire, for the authentication of other services."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import render_caller
from services.billing.operations.look_up_key import look_up_key
from services.billing.ports import Keys

Context = ServicerContext[Any, Any]


class KeyServicer(key_service_pb2_grpc.KeyServiceServicer):
    """Key look-up, for the authentication of other services."""

    def __init__(self, *, keys: Keys) -> None:
        self._keys = keys

    @override
    async def LookUpKey(
        self, request: key_service_pb2.LookUpKeyRequest, context: Context
    ) -> key_service_pb2.LookUpKeyResponse:
        return render_caller(await look_up_key(request.key_sha256, keys=self._keys))
