"""A service that does what a test says, with idempotency keys in front of it, in as many processes as it takes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any, cast

import grpc
from google.protobuf.message import Message
from reelgate.video.v1.video_pb2 import CreatedVideo
from reelgate.video.v1.video_service_pb2 import (
    CreateVideoRequest,
    CreateVideoResponse,
    EstimateVideoResponse,
    ListVideosResponse,
)
from reelgate.video.v1.video_service_pb2_grpc import (
    VideoServiceServicer,
    add_VideoServiceServicer_to_server,
)

from services.common.auth.authentication import (
    Caller,
    KeyCache,
    authenticated,
)
from services.common.auth.key_forms import KEY_PREFIXES, older_checksum
from services.common.idempotency.interceptor import idempotent
from services.common.idempotency.reservation import Reservation, reservation
from services.common.idempotency.store import SqlIdempotencyKeys
from services.common.postgres.database import Pool, open_pool
from services.common.rpc.blanks import without_blanks
from services.common.rpc.bounds import bounded
from services.common.rpc.exactness import exact
from services.common.rpc.interceptors import errors_mapped, logged
from services.common.rpc.server import Port, serve
from tests.patience import PATIENCE_SECONDS

SERVICE = "reelgate.video.v1.VideoService"
ACCESS = {SERVICE: frozenset({"seedancee2"})}
Act = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """What a service does that nobody told anything."""


@dataclass
class Deeds:
    """What a service was asked to do, in all processes."""

    reservations: list[Reservation | None] = field(default_factory=list)
    """One for each time it ran."""
    act: Act = nothing
    """What it does before it answers."""

    def fail_with(self, error: Exception) -> None:
        async def fail() -> None:
            raise error

        self.act = fail

    def succeed(self) -> None:
        self.act = nothing

    async def run(self) -> str:
        """Returns a text that no other run returns."""
        self.reservations.append(reservation.get())
        number = len(self.reservations)
        await self.act()
        return f"vid_{number}"


class Servicer(VideoServiceServicer):
    """Answers with the number of the run."""

    def __init__(self, deeds: Deeds) -> None:
        self._deeds = deeds

    async def CreateVideo(self, request: Any, context: Any) -> CreateVideoResponse:  # noqa: N802  of the proto
        return CreateVideoResponse(data=CreatedVideo(id=await self._deeds.run()))

    async def EstimateVideo(self, request: Any, context: Any) -> EstimateVideoResponse:  # noqa: N802  of the proto
        await self._deeds.run()
        return EstimateVideoResponse()

    async def ListVideos(self, request: Any, context: Any) -> ListVideosResponse:  # noqa: N802  of the proto
        return ListVideosResponse(next_after=await self._deeds.run())


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a call brought back: `body` is the message of a success or the envelope of a refusal."""

    status: int
    body: bytes
    headers: dict[str, Any]

    @property
    def is_replay(self) -> bool:
        return self.headers.get("idempotent-replayed") == "true"


def api_key(number: int = 1) -> str:
    """Returns a key that the service knows."""
    body = KEY_PREFIXES["seedancee2", "live"] + f"{number:032d}"
    return body + older_checksum(body)


def a_caller(account_id: str, key_id: str) -> Caller:
    return Caller(key_id=key_id, account_id=account_id, environment="live", contract="seedancee2")


CALLERS = (a_caller("acct_1", "key_1"), a_caller("acct_1", "key_2"))


async def post(
    channel: grpc.aio.Channel,
    *keys: str,
    model: str = "mini",
    method: str = "CreateVideo",
    request: Message | bytes | None = None,
    api: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Makes a call with idempotency keys, commonly one."""
    call: Any = channel.unary_unary(
        f"/{SERVICE}/{method}",
        request_serializer=lambda sent: sent if isinstance(sent, bytes) else sent.SerializeToString(),
        response_deserializer=lambda body: body,
    )
    metadata = (
        ("authorization", f"Bearer {api or api_key()}"),
        *(("idempotency-key", key) for key in keys),
        *(headers or {}).items(),
    )
    made = call(request or CreateVideoRequest(model=model), metadata=metadata, timeout=PATIENCE_SECONDS)
    try:
        body = await made
    except grpc.aio.AioRpcError as error:
        trailers: dict[str, Any] = dict(cast("Any", error.trailing_metadata()))
        return Answer(
            status=int(trailers["x-api-status"]), body=trailers["x-api-error-bin"], headers=trailers
        )
    return Answer(status=200, body=body, headers=dict(await made.initial_metadata()))


@dataclass(frozen=True, kw_only=True)
class Service:
    """Some processes of one service over one database."""

    pool: Pool
    deeds: Deeds
    channels: list[grpc.aio.Channel]

    async def sql(self, statement: str) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def post(self, *keys: str, **wanted: Any) -> Answer:
        return await post(self.channels[0], *keys, **wanted)


@asynccontextmanager
async def running_service(
    url: str,
    *,
    processes: int = 1,
    callers: Sequence[Caller] = CALLERS,
    serve_on: Callable[[Pool], VideoServiceServicer] | None = None,
) -> AsyncIterator[Service]:
    """Runs processes that know `api_key(1)` and so on as the keys of `callers`.

    `serve_on` makes the servicer of a process. None: each is a Servicer with the same deeds.
    """
    known = {sha256(api_key(number).encode()).digest(): each for number, each in enumerate(callers, start=1)}

    async def look_up(digest: bytes) -> Caller | None:
        return known.get(digest)

    deeds = Deeds()
    async with AsyncExitStack() as opened:
        enter = opened.enter_async_context
        pools = [await enter(open_pool(url, name="test", connections_max=4)) for _ in range(processes)]
        channels = []
        for pool in pools:
            servicer = Servicer(deeds) if serve_on is None else serve_on(pool)  # type: ignore[abstract]
            port = Port(
                address="127.0.0.1:0",
                services=[(SERVICE, partial(add_VideoServiceServicer_to_server, servicer))],
                middleware=(
                    logged,
                    errors_mapped,
                    authenticated(KeyCache(look_up), ACCESS),
                    bounded,
                    exact(ACCESS),
                    without_blanks,
                    idempotent(SqlIdempotencyKeys(pool), ACCESS),
                ),
            )
            [address] = await enter(serve(port))
            channels.append(await enter(grpc.aio.insecure_channel(address)))
        yield Service(pool=pools[0], deeds=deeds, channels=channels)
