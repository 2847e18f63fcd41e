"""The yardstick: a method that answers a ready message, behind the same Envoy as the real one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.json_format import ParseDict
from grpc import aio
from grpc_health.v1 import health, health_pb2_grpc
from reelgate.video.v1 import video_service_pb2, video_service_pb2_grpc


class Echo(video_service_pb2_grpc.VideoServiceServicer):
    """Answers every poll with the same message."""

    def __init__(self, answer: video_service_pb2.GetVideoResponse) -> None:
        self._answer = answer

    async def CreateVideo(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    async def ListVideos(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    async def EstimateVideo(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    async def CancelVideo(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    async def DeleteVideo(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    def WatchVideo(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    async def GetVideo(self, request: Any, context: Any) -> video_service_pb2.GetVideoResponse:  # noqa: N802
        return self._answer


@asynccontextmanager
async def serving_echo(address: str, poll_answer: dict[str, Any]) -> AsyncIterator[None]:
    """Serves the echo on `host:port` until the block ends, with nothing around it."""
    server = aio.server()
    answer = ParseDict(poll_answer, video_service_pb2.GetVideoResponse())
    video_service_pb2_grpc.add_VideoServiceServicer_to_server(Echo(answer), server)
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)  # type: ignore[attr-defined]
    server.add_insecure_port(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


if __name__ == "__main__":
    import asyncio
    import json
    import sys

    async def main() -> None:
        async with serving_echo(sys.argv[1], json.loads(sys.argv[2])):
            await asyncio.Event().wait()

    asyncio.run(main())
