"""A lean HTTP/1.1 load: a fixed number of connections, each with one request under way at a time."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

CLOSE_SECONDS = 5.0


@dataclass
class Measured:
    """What a load did. Latencies in seconds, in no order."""

    seconds: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        return sorted(self.latencies)[int(share * (len(self.latencies) - 1))]

    @property
    def only_ok(self) -> bool:
        return set(self.statuses) == {200}


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one was answered, until the deadline."""

    def __init__(self, next_request: Callable[[], bytes], until: float, measured: Measured) -> None:
        self._next_request = next_request
        self._until = until
        self._measured = measured
        self._received = bytearray()
        self._sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(self._received[:head_end]).lower()
        at = head.index(b"content-length:") + 15
        length = int(head[at : head.find(b"\r\n", at) if b"\r\n" in head[at:] else None])
        if len(self._received) < head_end + 4 + length:
            return
        now = time.perf_counter()
        status = int(head[9:12])
        self._measured.statuses[status] = self._measured.statuses.get(status, 0) + 1
        self._measured.latencies.append(now - self._sent_at)
        self._received.clear()
        if now < self._until and b"\r\nconnection: close" not in head:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._next_request())


def request(
    method: str, host: str, path: str, *, key: str, body: bytes = b"", idempotency_key: str = ""
) -> bytes:
    """Returns the bytes of one request."""
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n"
    if idempotency_key:
        head += f"idempotency-key: {idempotency_key}\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def load(host: str, next_request: Callable[[], bytes], *, connections: int, seconds: float) -> Measured:
    """Sends requests for a while over `connections` connections to `host:port` and returns what happened.

    What the server closes is opened anew.
    """
    name, _, port = host.rpartition(":")
    measured = Measured()
    started = time.perf_counter()
    loop = asyncio.get_running_loop()

    async def connected() -> None:
        until = started + seconds
        while time.perf_counter() < until:
            _, protocol = await loop.create_connection(
                lambda: _Connection(next_request, until, measured), name, int(port)
            )
            await protocol.done

    await asyncio.wait_for(
        asyncio.gather(*(connected() for _ in range(connections))), seconds + CLOSE_SECONDS
    )
    measured.seconds = time.perf_counter() - started
    return measured
