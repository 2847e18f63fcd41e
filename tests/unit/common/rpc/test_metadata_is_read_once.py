"""The metadata of a call is read when it arrives, and never again: a context makes a copy each time it is asked."""

from types import SimpleNamespace
from typing import Any, cast

import grpc
from grpc.aio import ServicerContext
from reelgate.video.v1 import video_service_pb2 as pb

from services.common.auth.authentication import Caller, KeyCache, authenticated, caller
from services.common.auth.key_forms import older_checksum
from services.common.rpc.both_ends import request_id
from services.common.rpc.exactness import exact
from services.common.rpc.interceptors import MiddlewareInterceptor, errors_mapped, logged, metadata_of

SERVICE = "reelgate.video.v1.VideoService"
METHOD = f"/{SERVICE}/GetVideo"
ACCESS = {SERVICE: frozenset({"seedancee2"})}
KEY = "sk_seedancee2_live_" + "A" * 32
SECRET = KEY + older_checksum(KEY)


class Unasked:
    """A context that must not be asked for its metadata."""

    def invocation_metadata(self) -> None:
        raise AssertionError("the metadata was read again")


async def look_up(_digest: bytes) -> Caller:
    return Caller(key_id="key_1", account_id="acct_1", environment="live", contract="seedancee2")


async def test_middleware_and_servicers_share_one_reading() -> None:
    seen: list[Any] = []

    async def get_video(_request: Any, context: ServicerContext[Any, Any]) -> pb.GetVideoResponse:
        seen.append((metadata_of(context)["other"], request_id.get(), caller().key_id))
        return pb.GetVideoResponse()

    async def found(_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            cast("Any", get_video), request_deserializer=pb.GetVideoRequest.FromString
        )

    interceptor = MiddlewareInterceptor(
        (logged, errors_mapped, authenticated(KeyCache(look_up), ACCESS), exact(ACCESS)),
        request_bytes_max=1024,
    )
    context = cast("ServicerContext[Any, Any]", Unasked())
    for number in ("1", "2"):
        sent = (("x-api-key", SECRET), ("x-request-id", f"req_{number}"), ("other", number), ("x-bin", b"\0"))
        details = SimpleNamespace(method=METHOD, invocation_metadata=sent)
        handler = await interceptor.intercept_service(found, cast("Any", details))
        await handler.unary_unary(pb.GetVideoRequest(id="vid_1"), context)

    assert seen == [("1", "req_1", "key_1"), ("2", "req_2", "key_1")]
